import type { PGPackDump } from '../../api/v1alpha1/dump.ts'
import type { PGPackRestore } from '../../api/v1alpha1/restore.ts'
import type { PGPackTransfer } from '../../api/v1alpha1/transfer.ts'

/** A resource whose work is one Job: told apart by `kind`. */
export type Run =
  | (PGPackDump & { kind: 'PGPackDump' })
  | (PGPackRestore & { kind: 'PGPackRestore' })
  | (PGPackTransfer & { kind: 'PGPackTransfer' })

export type DumpRun = Extract<Run, { kind: 'PGPackDump' }>
export type RestoreRun = Extract<Run, { kind: 'PGPackRestore' }>
export type TransferRun = Extract<Run, { kind: 'PGPackTransfer' }>

/** What a restore reads: its place is known once the dump that it refers to has succeeded. */
export interface RestoreSource {
  readonly store: PGPackDump['spec']['destination']
  readonly path: string
  readonly manifestSHA256?: string
}
