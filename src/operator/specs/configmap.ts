import { basename } from 'node:path'
import type { RunConfig } from '../../run/config.ts'
import { MOUNTS } from '../../run/paths.ts'
import type { ConfigMap } from '../manager/resources.ts'
import { childMetadata } from './metadata.ts'
import type { Run } from './run.ts'

/** A Job's configuration. Immutable: all attempts of a run do the same, whatever happens to the operator's version. */
export function buildConfigMap(run: Run, name: string, config: RunConfig): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: childMetadata(run, name),
    immutable: true,
    data: { [basename(MOUNTS.configFile)]: JSON.stringify(config, undefined, 2) },
  }
}
