// Apart from config.ts, whose schemas take 17 MiB of memory that the command line has no use for.

/** ReadCommitted gives one snapshot to one COPY only, so it goes with one object and one connection. */
export const ISOLATIONS = ['ReadCommitted', 'RepeatableRead', 'Serializable'] as const

/**
 * What happens to rows that are in the table already. Append keeps them; Truncate empties the table first, in the same
 * transaction; Replace loads into a table beside it and then fills it anew; CreateIfMissing makes the table where there is none.
 */
export const RESTORE_MODES = ['Append', 'Truncate', 'Replace', 'CreateIfMissing'] as const
export type RestoreMode = (typeof RESTORE_MODES)[number]

/** All: one transaction for all objects. PerObject: one each, what has committed stays. */
export const TRANSACTIONS = ['PerObject', 'All'] as const
