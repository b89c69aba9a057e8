import { PGPackDumpKind } from '../../api/v1alpha1/dump.ts'
import { GROUP, type KindInfo, VERSION } from '../../api/v1alpha1/group.ts'
import { PGPackRestoreKind } from '../../api/v1alpha1/restore.ts'
import { PGPackTransferKind } from '../../api/v1alpha1/transfer.ts'
import type { Resource } from '../manager/resources.ts'
import type { DumpRun, RestoreRun, RestoreSource, Run, TransferRun } from '../specs/run.ts'
import { planDump, planRestore, planTransfer, type RunPlan } from '../specs/runconfig.ts'
import { findCondition } from '../status/conditions.ts'
import { hasFinalizer } from './deletion.ts'
import type { Prerequisite } from './observation.ts'

function resourceOf<R extends Run>(info: KindInfo): Resource<R> {
  return { group: GROUP, version: VERSION, kind: info.kind, plural: info.plural, namespaced: true }
}

export const DUMPS: Resource<DumpRun> = resourceOf(PGPackDumpKind)
export const RESTORES: Resource<RestoreRun> = resourceOf(PGPackRestoreKind)
export const TRANSFERS: Resource<TransferRun> = resourceOf(PGPackTransferKind)

const KINDS = { PGPackDump: DUMPS, PGPackRestore: RESTORES, PGPackTransfer: TRANSFERS } as const

/** Where a run's kind is served. */
export function kindOf({ kind }: Pick<Run, 'kind'>): Resource<Run> {
  return KINDS[kind]
}

/** The dump that a run waits for; undefined for a run that needs none. */
export function dumpRefOf(run: Run): string | undefined {
  return run.kind === 'PGPackRestore' ? run.spec.source.dumpRef?.name : undefined
}

/** `dump` is the one that {@link dumpRefOf} names, if it is there. */
export function prerequisiteOf(run: Run, dump: DumpRun | undefined): Prerequisite {
  const name = dumpRefOf(run)
  if (name === undefined) return { ready: true }
  const wait = { ready: false, final: false } as const
  if (dump === undefined) {
    return { ...wait, reason: 'DumpNotFound', message: `PGPackDump ${name} does not exist in this namespace` }
  }
  if (dump.metadata.deletionTimestamp !== undefined && hasFinalizer(dump)) {
    return { ...wait, reason: 'DumpNotFound', message: `PGPackDump ${name} is being deleted with its artefact` }
  }
  const succeeded = findCondition(dump.status, 'Succeeded')
  if (succeeded?.status === 'False') {
    const message = `PGPackDump ${name} has failed: ${succeeded.reason}: ${succeeded.message}`
    return { ready: false, final: true, reason: 'DumpFailed', message }
  }
  if (succeeded?.status === 'True' && dump.status?.artifact?.path !== undefined) return { ready: true }
  if (succeeded?.status === 'True') {
    const message = `PGPackDump ${name} was a DryRun: it has no artefact`
    return { ready: false, final: true, reason: 'DumpFailed', message }
  }
  return { ...wait, reason: 'DumpNotSucceeded', message: `PGPackDump ${name} has not succeeded yet` }
}

/**
 * What the run's Job has to do.
 * @throws Error when the run is not ready by {@link prerequisiteOf}, or holds what its schema refuses
 */
export function planOf(run: Run, dump: DumpRun | undefined): RunPlan {
  switch (run.kind) {
    case 'PGPackDump':
      return planDump(run)
    case 'PGPackRestore':
      return planRestore(run, sourceOf(run, dump))
    case 'PGPackTransfer':
      return planTransfer(run)
  }
}

function sourceOf(run: RestoreRun, dump: DumpRun | undefined): RestoreSource {
  const { dumpRef, s3, volume, path } = run.spec.source
  if (dumpRef === undefined) {
    if (path === undefined) throw new Error('a restore without dumpRef has no path')
    return { store: { ...(s3 && { s3 }), ...(volume && { volume }) }, path: path.replace(/\/$/, '') }
  }
  const { path: artifactPath, manifestSHA256 } = dump?.status?.artifact ?? {}
  if (dump === undefined || artifactPath === undefined) throw new Error(`dump ${dumpRef.name} has no artefact`)
  return {
    store: dump.spec.destination,
    path: artifactPath,
    ...(manifestSHA256 === undefined ? {} : { manifestSHA256 }),
  }
}
