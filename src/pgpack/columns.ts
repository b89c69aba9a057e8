/**
 * A column as the file's metadata describe it. Odd values of the reference are kept as they are: `length` is a
 * numeric's precision, else the type modifier minus 4, else the type's length; -1 stands for a variable length.
 */
export interface PGPackColumn {
  readonly name: string
  /** pg_type.oid */
  readonly oid: number
  readonly length: number
  /** Of numeric only; 0 for every other type. */
  readonly scale: number
  /** attndims: array dimensions as declared, 0 for what is not an array. */
  readonly nested: number
}

/** The released reference writes arrays of arrays, its development head arrays of objects. */
export const METADATA_SPELLINGS = ['released', 'development'] as const
export type MetadataSpelling = (typeof METADATA_SPELLINGS)[number]

/**
 * Where the two lengths of the body stand: in the header (which is written last), or in the last 16 bytes of the file
 * (which can be written without going back; the released reference cannot read it).
 */
export const LAYOUTS = ['header', 'stream'] as const
export type Layout = (typeof LAYOUTS)[number]
