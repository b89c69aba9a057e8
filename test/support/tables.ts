import { testedMajor } from './postgres-versions.ts'

/** User types that `allTypes` has columns of. */
export const userTypes = `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'ümlaut ''quoted''');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE pair AS (label text, amount numeric(8,2));
CREATE TYPE floatrange AS RANGE (subtype = float8);
`

/** A base type that is none of PostgreSQL's own, without a library of its own: bytea by another name. */
export function baseType(name: string): string {
  const make = (suffix: string, taken: string, given: string, own: string) =>
    `CREATE FUNCTION ${name}_${suffix}(${taken}) RETURNS ${given} LANGUAGE internal IMMUTABLE STRICT AS '${own}';`
  return `CREATE TYPE ${name}; ${make('in', 'cstring', name, 'byteain')} ${make('out', name, 'cstring', 'byteaout')}
    ${make('receive', 'internal', name, 'bytearecv')} ${make('send', name, 'bytea', 'byteasend')}
    CREATE TYPE ${name} (INPUT = ${name}_in, OUTPUT = ${name}_out, RECEIVE = ${name}_receive, SEND = ${name}_send, LIKE = bytea);`
}

// What the PostgreSQL under test is too old for gives way to what comes near.
const JSONPATH = testedMajor >= 12 ? 'jsonpath' : 'text'
const THOUSANDS = testedMajor >= 15 ? 'numeric(5,-3)' : 'numeric(5,0)'
const LARGEST = testedMajor >= 14 ? 'Infinity' : `1${'0'.repeat(1000)}.5`
const MULTIRANGE =
  testedMajor >= 14
    ? { type: 'int4multirange', value: 'int4multirange(int4range(1, 2), int4range(5, i + 10))' }
    : { type: 'int4range[]', value: 'array[int4range(1, 2), int4range(5, i + 10)]' }

/** A table with columns of all common types, and rows of NULLs, of edge values and of many ordinary ones. */
export const allTypes = `
CREATE TABLE all_types (
  id integer PRIMARY KEY,
  c_smallint smallint, c_bigint bigint, c_numeric numeric, c_price numeric(12,3), c_thousands ${THOUSANDS},
  c_real real, c_double double precision, c_money money,
  c_char char(5), c_varchar varchar(200), c_text text, c_name name, c_letter "char", c_bytea bytea,
  c_date date, c_time time, c_timetz timetz, c_timestamp timestamp, c_timestamp3 timestamp(3), c_timestamptz timestamptz,
  c_interval interval, c_boolean boolean, c_uuid uuid, c_json json, c_jsonb jsonb, c_jsonpath ${JSONPATH},
  c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8, c_bit bit(5), c_varbit varbit(9),
  c_point point, c_line line, c_lseg lseg, c_box box, c_path path, c_polygon polygon, c_circle circle,
  c_tsvector tsvector, c_tsquery tsquery, c_int4range int4range, c_tstzrange tstzrange, c_multirange ${MULTIRANGE.type},
  c_integers integer[], c_matrix text[][], c_prices numeric(6,2)[], c_lsn pg_lsn, c_oid oid, c_regclass regtype,
  c_mood mood, c_moods mood[], c_positive positive, c_pair pair, c_floatrange floatrange
);
INSERT INTO all_types (id) VALUES (0);
INSERT INTO all_types SELECT
  i, i::smallint, i * 1000000007::bigint, (i || '.' || repeat('123456789', 5))::numeric, i + 0.125, i * 1000 % 99000,
  i / 3.0, i / 7.0, i::text::money,
  left('ab' || i, 5), 'höhe ' || i, repeat('漢字🐘 ', i % 20) || i, 'name' || i, 'x', decode(md5(i::text), 'hex'),
  date '2000-01-01' + i, time '00:00' + i * interval '1 second', timetz '12:00+02' + i * interval '1 second',
  timestamp '1999-12-31 23:59:59.999999' + i * interval '1 hour', timestamp '2020-02-29' + i * interval '1 ms',
  timestamptz '2024-03-31 01:30+01' + i * interval '1 minute',
  i * interval '1 month 2 days 3 seconds', i % 2 = 0, md5(i::text)::uuid,
  json_build_object('i', i, 'text', E'\\u00fc"\\n'), jsonb_build_object('i', i, 'list', jsonb_build_array(i, null, 'x')), '$.a[*] ? (@ > 1)',
  ('10.0.' || i % 256 || '.1/24')::inet, '10.1.0.0/16', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
  (i % 32)::bit(5), (i % 8)::bit(3)::varbit,
  point(i, -i), line(point(0, 0), point(1, i)), lseg(point(0, i), point(i, 1)), box(point(0, 0), point(i, i)),
  path '((0,0),(1,1),(2,0))', polygon '((0,0),(1,1),(2,0))', circle(point(i, i), i),
  to_tsvector('simple', 'a fat cat ' || i), to_tsquery('simple', 'fat & cat'), int4range(i, i + 10), tstzrange(now() - i * interval '1 s', null),
  ${MULTIRANGE.value},
  array[i, null, -i], array[['a', 'ä"'], [null, '{}']], array[i + 0.5], ('0/' || to_hex(i))::pg_lsn, i::oid, 'integer'::regtype,
  (array['sad', 'ok', 'ümlaut ''quoted''']::mood[])[1 + i % 3], array['ok', null, 'sad']::mood[], i, row('pair ' || i, i)::pair,
  floatrange(0, i)
FROM generate_series(1, 2000) AS i;
INSERT INTO all_types (id, c_smallint, c_bigint, c_numeric, c_real, c_double, c_text, c_varchar, c_bytea, c_date, c_timestamp, c_integers, c_int4range, c_jsonb) VALUES
  (-1, -32768, -9223372036854775808, 'NaN', 'NaN', 'NaN', '', '', '', '-infinity', '-infinity', '{}', 'empty', 'null'),
  (-2, 32767, 9223372036854775807, '${LARGEST}', 'Infinity', '-Infinity', E'tab\\tnewline\\nreturn\\r\\\\N \\x01\\x7f', '\\N', '\\x00ff0001', 'infinity', 'infinity', '[0:1]={1,2}', '(,)', '{}'),
  (-3, 0, 0, -0.000000000000000000000000000000000000001, '-0', '-0', repeat('long ', 100000), 'e' || U&'\\0301', decode(repeat('00', 100000), 'hex'), '0001-01-01 BC', '294276-12-31 23:59:59.999999', null, null, '"\\ud83d\\udc18"');
`
