/**
 * The frame around the rows of binary COPY (PostgreSQL documentation, COPY, "Binary Format"):
 * an 11-byte signature, 4 bytes of flags, 4 bytes of extension length; at the end a field count of -1.
 */
export const PGCOPY_SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
export const PGCOPY_HEADER_BYTES = 19
export const PGCOPY_HEADER = Buffer.concat([PGCOPY_SIGNATURE, Buffer.alloc(8)])
export const PGCOPY_TRAILER = Buffer.of(0xff, 0xff)

/** Flag bit 16: each row has an OID field, which its field count leaves out. */
export const PGCOPY_FLAG_OIDS = 1 << 16
/** Flag bits 17 to 31 change the format in unknown ways; bits 0 to 15 may be ignored. */
export const PGCOPY_CRITICAL_FLAGS = 0xfffe0000
/** PostgreSQL's MaxAllocSize: no field is longer. */
export const MAX_FIELD_BYTES = 0x3fffffff
