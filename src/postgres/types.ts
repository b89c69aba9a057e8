/** libpq's sslmode, in the spelling of `spec.source.tls.mode`. */
export const TLS_MODES = ['Disable', 'Prefer', 'Require', 'VerifyCA', 'VerifyFull'] as const
export type TLSMode = (typeof TLS_MODES)[number]

/** libpq's channel_binding, in the spelling of `spec.source.tls.channelBinding`. */
export const CHANNEL_BINDINGS = ['Disable', 'Prefer', 'Require'] as const
export type ChannelBinding = (typeof CHANNEL_BINDINGS)[number]

/** libpq's target_session_attrs, in the spelling of `spec.source.targetSessionAttrs`. */
export const TARGET_SESSION_ATTRS = ['Any', 'ReadWrite', 'ReadOnly', 'Primary', 'Standby', 'PreferStandby'] as const
export type TargetSessionAttrs = (typeof TARGET_SESSION_ATTRS)[number]

export interface TLSConfig {
  readonly mode: TLSMode
  /** Prefer when not given. */
  readonly channelBinding?: ChannelBinding
  /** PEM. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface HostPort {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string
  readonly port: number
  /** libpq's hostaddr: where `host` is, without asking DNS. */
  readonly hostAddress?: string
}

/** Where a server is and who asks. Never logged as a whole: `describeConnection` gives what may be shown. */
export interface ConnectionConfig extends HostPort {
  /** Where to try, in this order, instead of `host` and `port`, which repeat the first. */
  readonly hosts?: readonly HostPort[]
  /** Which of them will do; Any when not given. */
  readonly targetSessionAttrs?: TargetSessionAttrs
  readonly database: string
  readonly user: string
  readonly password?: string
  readonly tls: TLSConfig
  /** Seconds for TCP, TLS and authentication together, at each host anew; 15 when not given. */
  readonly connectTimeoutSeconds?: number
}

/** What a user wants of a session beside what every session is set up with; both timeouts are 0, none, when not given. */
export interface SessionSettings {
  readonly statementTimeoutSeconds?: number
  readonly lockTimeoutSeconds?: number
  /** Configuration parameters of the server's, set in this order, each for the whole session. */
  readonly settings?: readonly SessionSetting[]
}

export interface SessionSetting {
  readonly name: string
  readonly value: string
}

export type Flavour = 'PostgreSQL' | 'Greenplum'

/** A piece of a COPY stream that ends on a row boundary. */
export interface CopyChunk {
  /** CopyData payloads, headers stripped. The first chunk of a binary COPY starts with the 19-byte PGCOPY header, the last ends with its trailer. */
  readonly data: Buffer
  /** Rows in `data`: its CopyData messages, where Greenplum's hold several its tuples; header and trailer are none. */
  readonly rows: number
  /** Whether `data` ends with the trailer of a binary COPY. */
  readonly trailer: boolean
  /** Gives the memory back once nobody looks at `data` any more. Without it new memory is taken: slower, not wrong. */
  release(): void
}

/**
 * COPY … TO STDOUT, as PQgetCopyData gives it. Iterate to the end: the iteration ends only after CommandComplete and
 * ReadyForQuery, and throws a PgpackError for a server error that came after good data. Leaving the loop early cancels
 * the backend's query.
 */
export interface CopyOut extends AsyncIterable<CopyChunk> {
  /** PQbinaryTuples and PQfformat: 0 text, 1 binary. Known before the first chunk. */
  readonly format: 0 | 1
  readonly columnFormats: readonly (0 | 1)[]
  /** Rows by the CommandComplete tag (`COPY n`); undefined until the iteration has ended. */
  readonly rowCount: bigint | undefined
}

/** COPY … FROM STDIN, as PQputCopyData and PQputCopyEnd give it. */
export interface CopyIn {
  readonly format: 0 | 1
  readonly columnFormats: readonly (0 | 1)[]
  /**
   * Sends bytes, which belong to the stream until it calls `release`; resolves when more are welcome. Rejects with the
   * server's own error; what was not sent then is not released.
   */
  write(data: Buffer, release?: () => void): Promise<void>
  /** CopyDone; resolves with the row count after CommandComplete and ReadyForQuery. */
  end(): Promise<bigint>
  /**
   * Greenplum: what SEGMENT REJECT LIMIT left out, known when the COPY has ended. The row count of `end` leaves out only
   * those of them that the coordinator refused itself.
   */
  readonly rejectedRows: bigint
  /** CopyFail: the server rolls the COPY back with `reason` in its error. Resolves when the session is usable again. */
  fail(reason: string): Promise<void>
}

export interface ColumnInfo {
  readonly name: string
  readonly typeOid: number
  readonly typmod: number
  /** pg_type.typlen: bytes, -1 varlena, -2 cstring. */
  readonly typeLength: number
  /** attndims; 0 for what is not declared as an array. An expression of a query has 1 for any array. */
  readonly dimensions: number
  /** format_type(): `numeric(8,2)`, `character varying(10)`, `public.mood`. */
  readonly typeName: string
  /** pg_type.typtype: b base, e enum, d domain, c composite, r range, m multirange, p pseudo. */
  readonly typeKind: string
  readonly notNull: boolean
  readonly hasDefault: boolean
  /** Stored or virtual generated: in the table, but COPY neither sends nor takes it. */
  readonly generated: boolean
  readonly identity: 'Always' | 'ByDefault' | undefined
}

/** pg_class.relkind: r table, p partitioned table, v view, m materialized view, f foreign table … */
export interface RelationInfo {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly columns: readonly ColumnInfo[]
  /** Names in key order; empty when there is none. */
  readonly primaryKey: readonly string[]
  /** reltuples; -1 or 0 when the table was never analysed. */
  readonly estimatedRows: number
  /** pg_table_size: heap, TOAST and maps; the sum over partitions for a partitioned table. */
  readonly sizeBytes: number
  /** Blocks of the main fork now, for splitting by ctid. */
  readonly pages: number
}
