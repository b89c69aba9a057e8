import { PGPackDumpKind } from '../../api/v1alpha1/dump.ts'
import { GROUP, type KindInfo, VERSION } from '../../api/v1alpha1/group.ts'
import { PGPackRestoreKind } from '../../api/v1alpha1/restore.ts'
import type { Resource } from '../manager/resources.ts'
import type { DumpRun, RestoreRun, RestoreSource, Run } from '../specs/run.ts'
import { planDump, planRestore, type RunPlan } from '../specs/runconfig.ts'
import { findCondition } from '../status/conditions.ts'
import type { Prerequisite } from './observation.ts'

function resourceOf<R extends Run>(info: KindInfo): Resource<R> {
  return { group: GROUP, version: VERSION, kind: info.kind, plural: info.plural, namespaced: true }
}

export const DUMPS: Resource<DumpRun> = resourceOf(PGPackDumpKind)
export const RESTORES: Resource<RestoreRun> = resourceOf(PGPackRestoreKind)

/** Where a run's kind is served. */
export function kindOf(run: Run): Resource<Run> {
  return run.kind === 'PGPackDump' ? DUMPS : RESTORES
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
  const succeeded = findCondition(dump.status, 'Succeeded')
  if (succeeded?.status === 'False') {
    const message = `PGPackDump ${name} has failed: ${succeeded.reason}: ${succeeded.message}`
    return { ready: false, final: true, reason: 'DumpFailed', message }
  }
  if (succeeded?.status === 'True' && dump.status?.artifact?.path !== undefined) return { ready: true }
  return { ...wait, reason: 'DumpNotSucceeded', message: `PGPackDump ${name} has not succeeded yet` }
}

/**
 * What the run's Job has to do.
 * @throws Error when the run is not ready by {@link prerequisiteOf}, or holds what its schema refuses
 */
export function planOf(run: Run, dump: DumpRun | undefined): RunPlan {
  return run.kind === 'PGPackDump' ? planDump(run) : planRestore(run, sourceOf(run, dump))
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
