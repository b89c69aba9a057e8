import type { EventMapper } from '../manager/controller.ts'
import { type ApiObject, objectKey, refKey } from '../manager/resources.ts'
import { RUN_ANNOTATION, type RUN_LABELS } from '../specs/metadata.ts'
import type { DumpRun, RestoreRun, Run } from '../specs/run.ts'
import { DUMP_REF_INDEX, type Informers } from './caches.ts'

/** A pod's controller is its Job; whose Job that is stands on the pod itself. `label` is one of {@link RUN_LABELS}. */
export function mapPodToRun(label: (typeof RUN_LABELS)[Run['kind']]): EventMapper<ApiObject> {
  return ({ metadata }) => {
    const name = metadata?.annotations?.[RUN_ANNOTATION]
    if (name === undefined || metadata?.labels?.[label] === undefined) return []
    return [refKey({ namespace: metadata.namespace, name })]
  }
}

/** The restores that refer to a dump, whichever they were at the event's time. */
export function mapDumpToRestores(restores: Informers<RestoreRun>): EventMapper<DumpRun> {
  return (dump) =>
    restores.flatMap(({ store }) => store.byIndex(DUMP_REF_INDEX, objectKey(dump)).map((restore) => objectKey(restore)))
}
