import type { ObjectMeta } from '../manager/resources.ts'
import { labelValue } from './names.ts'
import type { Run } from './run.ts'

const MANAGED_BY = 'pgpack-operator'

/** What the operator's caches of Jobs and pods select: nothing else of the cluster is held in memory. */
export const CHILD_SELECTOR = `app.kubernetes.io/managed-by=${MANAGED_BY}`

/** The run's whole name on its Job and pods: a label's value may be too short for it. */
export const RUN_ANNOTATION = 'pgpack.io/run'

/** The label that says whose child an object is, by kind; its value may be a shortened name. */
export const RUN_LABELS = {
  PGPackDump: 'pgpack.io/dump',
  PGPackRestore: 'pgpack.io/restore',
  PGPackTransfer: 'pgpack.io/transfer',
} as const

/** Labels of everything that belongs to a run. Labels of the parent are not copied (Argo CD and Flux track by them). */
function childLabels(run: Run): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'pgpack',
    'app.kubernetes.io/component': 'engine',
    'app.kubernetes.io/managed-by': MANAGED_BY,
    [RUN_LABELS[run.kind]]: labelValue(run.metadata.name),
  }
}

/** Metadata of a child: owned by the run, so that the garbage collector removes it with the run. */
export function childMetadata(run: Run, name: string): ObjectMeta {
  return {
    name,
    namespace: run.metadata.namespace,
    labels: { ...run.spec.job?.labels, ...childLabels(run) },
    annotations: { ...run.spec.job?.annotations, [RUN_ANNOTATION]: run.metadata.name },
    ownerReferences: [
      {
        apiVersion: run.apiVersion,
        kind: run.kind,
        name: run.metadata.name,
        uid: run.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  }
}
