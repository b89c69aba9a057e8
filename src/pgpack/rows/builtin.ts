import { bit, varbit } from './bits.ts'
import type { Codec } from './codec.ts'
import { date, time, timestamp, timestamptz, timetz } from './datetime.ts'
import { float4, float8 } from './floats.ts'
import { box, circle, line, lseg, path, point, polygon } from './geometry.ts'
import { interval } from './interval.ts'
import { cidr, inet, macaddr, macaddr8 } from './network.ts'
import { bool, int2, int4, int8, money, oidLike, regLike, xid8 } from './numbers.ts'
import { numeric } from './numeric.ts'
import { multirange, range } from './range.ts'
import { pgLsn, snapshot, tid } from './system.ts'
import { bytea, char, json, jsonb, jsonpath, textLike, uuid } from './text.ts'
import { tsquery } from './tsquery.ts'
import { tsvector } from './tsvector.ts'
import { vector } from './vector.ts'

/** A type of PostgreSQL itself, whose OIDs are the same on every server (pg_type.dat). */
export interface BuiltinType {
  readonly codec: Codec
  readonly oid: number
  /** 0 where there is none. */
  readonly arrayOid: number
  /** pg_type.typlen: bytes, -1 for a variable length. */
  readonly length: number
  readonly delimiter?: string
}

const VARIABLE = -1
const oid = oidLike('oid')

const scalars: readonly (readonly [codec: Codec, oid: number, arrayOid: number, length: number])[] = [
  [bool, 16, 1000, 1],
  [bytea, 17, 1001, VARIABLE],
  [char, 18, 1002, 1],
  [textLike('name'), 19, 1003, 64],
  [int8, 20, 1016, 8],
  [int2, 21, 1005, 2],
  [vector('int2vector', { oid: 21, codec: int2 }, (items) => Int16Array.from(items)), 22, 1006, VARIABLE],
  [int4, 23, 1007, 4],
  [textLike('text'), 25, 1009, VARIABLE],
  [oid, 26, 1028, 4],
  [tid, 27, 1010, 6],
  [oidLike('xid'), 28, 1011, 4],
  [oidLike('cid'), 29, 1012, 4],
  [vector('oidvector', { oid: 26, codec: oid }, (items) => Uint32Array.from(items)), 30, 1013, VARIABLE],
  [json, 114, 199, VARIABLE],
  [textLike('xml'), 142, 143, VARIABLE],
  [textLike('pg_node_tree'), 194, 0, VARIABLE],
  [point, 600, 1017, 16],
  [lseg, 601, 1018, 32],
  [path, 602, 1019, VARIABLE],
  [polygon, 604, 1027, VARIABLE],
  [line, 628, 629, 24],
  [cidr, 650, 651, VARIABLE],
  [float4, 700, 1021, 4],
  [float8, 701, 1022, 8],
  [textLike('unknown'), 705, 0, -2],
  [circle, 718, 719, 24],
  [macaddr8, 774, 775, 8],
  [money, 790, 791, 8],
  [macaddr, 829, 1040, 6],
  [inet, 869, 1041, VARIABLE],
  [textLike('bpchar'), 1042, 1014, VARIABLE],
  [textLike('varchar'), 1043, 1015, VARIABLE],
  [date, 1082, 1182, 4],
  [time, 1083, 1183, 8],
  [timestamp, 1114, 1115, 8],
  [timestamptz, 1184, 1185, 8],
  [interval, 1186, 1187, 16],
  [timetz, 1266, 1270, 12],
  [bit, 1560, 1561, VARIABLE],
  [varbit, 1562, 1563, VARIABLE],
  [numeric, 1700, 1231, VARIABLE],
  [textLike('refcursor'), 1790, 2201, VARIABLE],
  [uuid, 2950, 2951, 16],
  [snapshot('txid_snapshot'), 2970, 2949, VARIABLE],
  [pgLsn, 3220, 3221, 8],
  [tsvector, 3614, 3643, VARIABLE],
  [tsquery, 3615, 3645, VARIABLE],
  [jsonb, 3802, 3807, VARIABLE],
  [jsonpath, 4072, 4073, VARIABLE],
  [snapshot('pg_snapshot'), 5038, 5039, VARIABLE],
  [xid8, 5069, 271, 8],
]

const regTypes: readonly (readonly [name: string, oid: number, arrayOid: number])[] = [
  ['regproc', 24, 1008],
  ['regprocedure', 2202, 2207],
  ['regoper', 2203, 2208],
  ['regoperator', 2204, 2209],
  ['regclass', 2205, 2210],
  ['regtype', 2206, 2211],
  ['regconfig', 3734, 3735],
  ['regdictionary', 3769, 3770],
  ['regnamespace', 4089, 4090],
  ['regrole', 4096, 4097],
  ['regcollation', 4191, 4192],
]

const ranges: readonly (readonly [name: string, element: Codec, oids: readonly number[]])[] = [
  ['int4', int4, [3904, 3905, 4451, 6150]],
  ['num', numeric, [3906, 3907, 4532, 6151]],
  ['ts', timestamp, [3908, 3909, 4533, 6152]],
  ['tstz', timestamptz, [3910, 3911, 4534, 6153]],
  ['date', date, [3912, 3913, 4535, 6155]],
  ['int8', int8, [3926, 3927, 4536, 6157]],
]

function rangeTypes(): BuiltinType[] {
  return ranges.flatMap(([name, element, [oid = 0, arrayOid = 0, multiOid = 0, multiArrayOid = 0]]) => {
    const codec = range(`${name}range`, element)
    return [
      { codec, oid, arrayOid, length: VARIABLE },
      { codec: multirange(`${name}multirange`, codec), oid: multiOid, arrayOid: multiArrayOid, length: VARIABLE },
    ]
  })
}

export const BUILTIN_TYPES: readonly BuiltinType[] = [
  ...scalars.map(([codec, oid, arrayOid, length]) => ({ codec, oid, arrayOid, length })),
  ...regTypes.map(([name, oid, arrayOid]) => ({ codec: regLike(name), oid, arrayOid, length: 4 })),
  ...rangeTypes(),
  { codec: box, oid: 603, arrayOid: 1020, length: 32, delimiter: ';' },
]

export const RECORD_OID = 2249
export const RECORD_ARRAY_OID = 2287
