/** For each built-in type, values in SQL: the ordinary ones, and the extremes that PostgreSQL takes. */
export const VALUES: Readonly<Record<string, readonly string[]>> = {
  bool: ['true', 'false'],
  int2: ['-32768', '32767', '0'],
  int4: ['-2147483648', '2147483647', '0'],
  int8: ['-9223372036854775808', '9223372036854775807', '9007199254740993'],
  oid: ['0', '4294967295'],
  xid: ["'0'", "'4294967295'"],
  cid: ["'0'", "'4294967295'"],
  xid8: ["'0'", "'18446744073709551615'"],
  tid: ["'(0,1)'", "'(4294967295,65535)'"],
  float4: [
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'-0'",
    '-0.1',
    '1e-45',
    '3.4028235e38',
    '1e6',
    '123456',
    '0.0001',
    '0.00001',
    '16777216',
    '33554432',
    '8388609.5',
    '1e10',
    '9.8e-45',
  ],
  float8: [
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'-0'",
    '5e-324',
    '1.7976931348623157e308',
    '1e15',
    '1e14',
    '123456789012345',
    '0.0001',
    '0.00001',
    '0.1',
    '1e23',
    '9007199254740993',
    '4503599627370497.5',
    'power(2, -44)',
    '9.5367431640625e-07',
    '1e22',
    '-1.5e200',
  ],
  money: [
    "'-92233720368547758.08'",
    "'92233720368547758.07'",
    '0.01::numeric',
    '-1234.5::numeric',
    '999999.99::numeric',
  ],
  numeric: [
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    '0',
    '0.00',
    '-0.00000001',
    '1e131071',
    '1e-16383',
    '1.50',
    '10000',
    '100000000',
    '0.0001',
    '0.00010',
    '123456789012345678901234567890.0001',
    '-9999.9999',
    "'1e10'",
    '12345e-10',
  ],
  'numeric(8,2)': ['999999.99', '-0.01'],
  'numeric(3,-2)': ['12300'],
  text: [
    "'naïve Ж 😀'",
    "''",
    "'\\.'",
    "'a,b'",
    "E'quote \" line\\nbreak\\r\\ttab \\\\ back'",
    "'NULL'",
    "'null'",
    "' space '",
    "U&'\\FFFD'",
    "U&'\\00A0'",
    "'{}'",
    "'(,)'",
  ],
  'varchar(10)': ["'ten chars!'", "''"],
  'char(7)': ["'abc'", "''"],
  bpchar: ["'abc'", "'abc  '"],
  name: ["'a name'", "''"],
  '"char"': ["'x'", "'\\377'", "''", "','"],
  bytea: ["'\\x00ff10'", "''"],
  uuid: ["'00000000-0000-0000-0000-000000000000'", "'f47ac10b-58cc-4372-a567-0e02b2c3d479'"],
  json: ['\'{"a": 1.10, "a": null}\'', "'null'", "E'[1,\\n2]'", '\'"text"\''],
  jsonb: ['\'{"a": [1.10, null]}\'', '\'"text"\'', "'null'", "'{}'"],
  jsonpath: ["'$.a[*] ? (@ > 1)'", "'strict $'"],
  xml: ["'<a>1</a>'", "'text'"],
  date: [
    "'infinity'",
    "'-infinity'",
    "'0044-03-15 BC'",
    "'4714-11-24 BC'",
    "'5874897-12-31'",
    "'2000-02-29'",
    "'1999-12-31'",
    "'0001-01-01'",
    "'0001-12-31 BC'",
  ],
  time: ["'00:00'", "'24:00:00'", "'12:34:56.789'", "'23:59:59.999999'", "'00:00:00.000001'"],
  'time(3)': ["'12:34:56.789'"],
  timetz: ["'12:34:56.789012+05:30'", "'00:00-15:59'", "'24:00+00'", "'01:02:03+15:59:59'", "'01:02:03-00:00:01'"],
  timestamp: [
    "'infinity'",
    "'-infinity'",
    "'4714-11-24 00:00:00 BC'",
    "'294276-12-31 23:59:59.999999'",
    "'1999-12-31 23:59:59.999999'",
    "'2000-01-01'",
    "'0001-12-31 23:59:59.5 BC'",
    "'1715-01-01 00:00:00.000001'",
    "'2286-01-01'",
    "'1677-09-21 00:12:43.1'",
  ],
  'timestamp(0)': ["'2026-11-21 12:34:56'"],
  timestamptz: [
    "'infinity'",
    "'-infinity'",
    "'2026-11-21 12:34:56.789012+03'",
    "'0044-03-15 10:00:00.1+00 BC'",
    "'294276-12-31 23:59:59.999999+00'",
  ],
  interval: [
    "'1 year 2 mons -3 days 04:05:06.789'",
    "'00:00'",
    "'infinity'",
    "'-infinity'",
    "'-1 year -2 mons +3 days'",
    "'-1 mons +3 days -00:00:00.000001'",
    "'1 day'",
    "'-1 day 1 sec'",
    "'-178000000 years'",
    "'2562047788:00:54.775807'",
    "'11 mons'",
    "'1 mon 1 day'",
    "'-25 mons'",
  ],
  'interval year to month': ["'14 mons'", "'-1 mons'"],
  'bit(5)': ["B'10101'", "B'00000'"],
  'bit(64)': ["B'1111111111111111111111111111111111111111111111111111111111111111'"],
  'varbit(9)': ["B'101010101'", "B''"],
  macaddr: ["'08:00:2b:01:02:03'", "'ff:ff:ff:ff:ff:ff'"],
  macaddr8: ["'08:00:2b:01:02:03:04:05'", "'00:00:00:00:00:00:00:00'"],
  inet: [
    "'192.168.1.5/24'",
    "'192.168.1.5'",
    "'2001:db8::1'",
    "'::'",
    "'::1'",
    "'::ffff:1.2.3.4'",
    "'::1.2.3.4'",
    "'::2'",
    "'1:0:0:2:0:0:0:3/64'",
    "'1:2:3:4:5:6:7:8'",
    "'0:0:1::'",
    "'1::'",
    "'::8/0'",
    "'::1:2'",
    "'1:0:2:0:3:0:4:0'",
  ],
  cidr: ["'10.0.0.0/8'", "'10.1.2.3/32'", "'2001:db8::/32'", "'::/0'", "'0.0.0.0/0'", "'::ffff:1.2.3.4/128'"],
  point: ["'(1.5,-2)'", "'(NaN,Infinity)'", "'(1e300,-0)'"],
  line: ["'{1,2,3}'", "'{0,1,0}'"],
  lseg: ["'[(0,0),(1,1)]'", "'[(-1,2),(3,4)]'"],
  box: ["'(1,1),(0,0)'", "'(3,3),(4,4)'", "'(1,2),(3,0)'"],
  path: ["'[(0,0),(1,1),(2,0)]'", "'((0,0),(1,1))'"],
  polygon: ["'((0,0),(1,1),(2,0))'", "'((5,5))'"],
  circle: ["'<(1,2),3>'", "'<(0,0),0>'"],
  pg_lsn: ["'0/0'", "'16/B374D848'", "'FFFFFFFF/FFFFFFFF'"],
  pg_snapshot: ["'10:20:10,14,15'", "'1:1:'"],
  txid_snapshot: ["'10:20:10,14,15'"],
  tsvector: ["'a:1A fat:2B,4C cat:5D'", "''", "$$'it''s' 'back\\\\slash' 'two words'$$", "'plain words'"],
  tsquery: [
    "'fat & (rat | cat)'",
    "'!fat & rat'",
    "'!(fat | rat)'",
    "'a <-> b <-> c'",
    "'a <-> (b <-> c)'",
    "'a <2> b | c & d'",
    "'fat:ab & cat:*'",
    "'cat:*A'",
    "''",
    "$$'it''s' & 'b\\\\c'$$",
    "'!!a'",
    "'(a & b) <-> (c | d)'",
    "'a <-> !b'",
    "'(a|b)&(c|d)&!(e&f)'",
  ],
  int2vector: ["'1 2 -3'", "''"],
  oidvector: ["'1 2 4294967295'", "''"],
  refcursor: ["'cursor'"],
  int4range: ["'[1,10)'", "'empty'", "'(,)'", "'[5,)'", "'(,5)'"],
  int8range: ["'[1,9223372036854775807)'"],
  numrange: ["'[1.5,2.50]'", "'(0,NaN]'"],
  tsrange: ["'[2024-01-01,2024-02-01 12:00)'", "'[-infinity,infinity]'"],
  tstzrange: ["'[2024-01-01 00:00+00,)'"],
  daterange: ["'[2024-01-01,2024-02-01)'", "'(,infinity)'"],
  int4multirange: ["'{[1,3),[5,9)}'", "'{}'", "'{(,)}'"],
  int8multirange: ["'{[1,3)}'"],
  nummultirange: ["'{[1.5,2.5],(3,4)}'"],
  tsmultirange: ["'{[2024-01-01,2024-02-01),[2025-01-01,)}'"],
  tstzmultirange: ["'{[2024-01-01 00:00+00,2024-02-01 00:00+00)}'"],
  datemultirange: ["'{[2024-01-01,2024-02-01)}'"],
}

/** Types that users make, with values. */
export const USER_TYPES = `
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'ümlaut ''quoted''', 'comma, "quote"', '');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN small_positive AS positive;
CREATE DOMAIN pairs_of_ints AS integer[];
CREATE TYPE pair AS (label text, "amount x" numeric(8,2));
CREATE TYPE nested AS (id int8, inside pair, list pair[], at timestamptz);
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE TYPE textrange AS RANGE (subtype = text);
`

export const USER_VALUES: Readonly<Record<string, readonly string[]>> = {
  mood: ["'sad'", '\'comma, "quote"\'', "''", "'ümlaut ''quoted'''"],
  positive: ['1', '2147483647'],
  small_positive: ['7'],
  pairs_of_ints: ["'{1,2}'", "'{}'", "'[0:1]={3,NULL}'"],
  pair: ["row('a b', 1.5)", "row('', null)", "row('quote \" , back \\ (paren)', 0)", 'row(null, null)'],
  nested: [
    "row(1, row('x', 2), array[row('y', 3), null]::pair[], '2024-01-01 00:00+00')",
    'row(null, null, null, null)',
  ],
  floatrange: ["'[1.5,2.5)'", "'empty'", "'(-Infinity,)'"],
  textrange: ["'[a,b]'", "textrange('', 'comma, \"quote\" \\ )')", "textrange('x', null)"],
  floatmultirange: ["'{[1,2),[3,4)}'"],
  textmultirange: ['\'{[a,b],[c,"d e"]}\''],
  hstore: [
    "'a=>1, b=>NULL'",
    "''",
    "hstore('quo\"te', 'back\\slash')",
    "hstore(array['long key', ''], array['ü', ''])",
  ],
  citext: ["'Text'", "''"],
}

/** SQL of a table with a column for each type and its array; each value is in one row, beside arrays of all of them. */
export function tableOf(table: string, values: Readonly<Record<string, readonly string[]>>): string {
  const types = Object.entries(values)
  const columns = types.flatMap(([type], index) => [`c${index} ${type}`, `a${index} ${type}[]`])
  const count = Math.max(...types.map(([, items]) => items.length))
  const rows = Array.from({ length: count }, (_, row) =>
    types.flatMap(([type, items]) => [cast(items[row], type), arrayOf(type, items, row)]),
  )
  const nulls = types.flatMap(() => ['NULL', 'NULL'])
  const statements = [...rows, nulls].map((row) => `INSERT INTO ${table} VALUES (${row.join(', ')});`)
  return `CREATE TABLE ${table} (${columns.join(', ')});\n${statements.join('\n')}`
}

const cast = (value: string | undefined, type: string) => (value === undefined ? 'NULL' : `CAST(${value} AS ${type})`)

/** By row: all values, an empty array, two dimensions with NULL, bounds that are not 1, and then single values. */
function arrayOf(type: string, items: readonly string[], row: number): string {
  const all = items.map((item) => cast(item, type))
  const [first = 'NULL'] = all
  if (row === 0) return `ARRAY[${all.join(', ')}, NULL]::${type}[]`
  if (row === 1) return `ARRAY[]::${type}[]`
  if (row === 2) return `ARRAY[[${first}, NULL], [NULL, ${all.at(-1)}]]::${type}[]`
  if (row === 3) return `array_fill(${first}::${type}, ARRAY[1, 2], ARRAY[-3, 5])`
  return `ARRAY[${all[row] ?? first}]::${type}[]`
}
