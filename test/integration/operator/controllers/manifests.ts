import type { DumpRun, RestoreRun, Run, TransferRun } from '../../../../src/operator/specs/run.ts'

/** What a user writes: metadata has a name and a namespace only. */
export type Manifest<R extends Run> = Pick<R, 'apiVersion' | 'kind' | 'spec'> & {
  metadata: { name: string; namespace: string }
}

const destination = {
  s3: { endpoint: 'http://minio:9000', bucket: 'backups', credentialsSecretRef: { name: 'minio' } },
}

export function dump(namespace: string, name: string, spec: Partial<DumpRun['spec']> = {}): Manifest<DumpRun> {
  return {
    apiVersion: 'pgpack.io/v1alpha1',
    kind: 'PGPackDump',
    metadata: { name, namespace },
    spec: {
      source: { secretRef: { name: 'orders-app' } },
      objects: [{ table: { name: 'orders' } }],
      destination,
      ...spec,
    },
  }
}

export function restore(namespace: string, name: string, spec: Partial<RestoreRun['spec']> = {}): Manifest<RestoreRun> {
  return {
    apiVersion: 'pgpack.io/v1alpha1',
    kind: 'PGPackRestore',
    metadata: { name, namespace },
    spec: { source: { dumpRef: { name: 'orders' } }, target: { secretRef: { name: 'copy-app' } }, ...spec },
  }
}

export function transfer(
  namespace: string,
  name: string,
  spec: Partial<TransferRun['spec']> = {},
): Manifest<TransferRun> {
  return {
    apiVersion: 'pgpack.io/v1alpha1',
    kind: 'PGPackTransfer',
    metadata: { name, namespace },
    spec: {
      source: { secretRef: { name: 'orders-app' } },
      target: { secretRef: { name: 'copy-app' } },
      objects: [{ table: { name: 'orders' } }],
      ...spec,
    },
  }
}
