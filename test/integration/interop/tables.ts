/** Types that the released reference carries byte for byte (pgpack-interop.md, section 3), each with some values. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  bool: ['true', 'false'],
  int2: ['-32768', '32767'],
  int4: ['-2147483648', '2147483647'],
  int8: ['-9223372036854775808', '9223372036854775807'],
  oid: ['0', '4294967295'],
  float4: ["'NaN'", '-0.1'],
  float8: ["'-Infinity'", '5e-324'],
  money: ["'-92233720368547758.08'", '12.34'],
  numeric: ["'NaN'", '-123456789012345678901234567890.0001'],
  'numeric(8,2)': ['999999.99', '-0.01'],
  text: ["'naïve Ж 😀'", "''"],
  'varchar(10)': ["'ten chars!'", "''"],
  'char(7)': ["'abc'", "''"],
  bpchar: ["'abc'", "''"],
  '"char"': ["'x'", "'\\377'"],
  bytea: ["'\\x00ff10'", "''"],
  uuid: ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
  json: ['\'{"a": 1.10, "a": null}\'', "'null'"],
  jsonb: ['\'{"a": [1.10, null]}\'', '\'"text"\''],
  date: ["'infinity'", "'0044-03-15 BC'"],
  'time(3)': ["'24:00:00'", "'12:34:56.789'"],
  timetz: ["'12:34:56.789012+05:30'", "'00:00-15:59'"],
  'timestamp(0)': ["'-infinity'", "'2026-11-21 12:34:56'"],
  timestamptz: ["'infinity'", "'2026-11-21 12:34:56.789012+03'"],
  interval: ["'1 year 2 mons -3 days 04:05:06.789'", "'00:00'"],
  'interval year to month': ["'14 mons'", "'-1 mons'"],
  'bit(5)': ["B'10101'", "B'00000'"],
  'varbit(9)': ["B'101010101'", "B''"],
  macaddr: ["'08:00:2b:01:02:03'", "'ff:ff:ff:ff:ff:ff'"],
  macaddr8: ["'08:00:2b:01:02:03:04:05'", "'00:00:00:00:00:00:00:00'"],
  inet: ["'192.168.1.5/24'", "'2001:db8::1'"],
  cidr: ["'10.0.0.0/8'", "'2001:db8::/32'"],
  point: ["'(1.5,-2)'", "'(NaN,Infinity)'"],
  line: ["'{1,2,3}'", "'{0,1,0}'"],
  lseg: ["'[(0,0),(1,1)]'", "'[(-1,2),(3,4)]'"],
  box: ["'(1,1),(0,0)'", "'(4,4),(3,3)'"],
  path: ["'[(0,0),(1,1),(2,0)]'", "'((0,0),(1,1))'"],
  polygon: ["'((0,0),(1,1),(2,0))'", "'((5,5))'"],
  circle: ["'<(1,2),3>'", "'<(0,0),0>'"],
}

const types = Object.entries(VALUES)

/** SQL of a table of every type and its array, with rows of values, extremes, NULLs, and bounds that are not 1. */
export function allTypes(table: string): string {
  const columns = types.flatMap(([type], index) => [`c${index} ${type}`, `a${index} ${type}[]`])
  const rows = [
    types.flatMap(([type, [value]]) => [`cast(${value} as ${type})`, `array[${value}, null]::${type}[]`]),
    types.flatMap(([type, [, value]]) => [`cast(${value} as ${type})`, `array[[${value}],[${value}]]::${type}[]`]),
    types.flatMap(([type]) => ['null', `'{}'::${type}[]`]),
    types.flatMap(() => ['null', 'null']),
  ]
  const values = rows.map((row) => `insert into ${table} values (${row.join(', ')});`)
  return [
    `create table ${table} (${columns.join(', ')}, name name);`,
    ...values,
    `update ${table} set name = 'a name', a2 = '[-3:-2]={7,8}';`,
  ].join('\n')
}

/** SQL of a table with enough rows for several frames and blocks. */
export function manyRows(table: string, count = 40_000): string {
  return `create table ${table} (id int8, hash text, at timestamptz, amount numeric(12,3));
    insert into ${table} select i, md5(i::text), timestamptz '2026-01-01' + i * interval '1 s 1 us', i / 7.0
    from generate_series(1, ${count}) i;`
}
