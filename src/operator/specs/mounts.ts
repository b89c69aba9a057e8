import type { DatabaseSpec } from '../../api/v1alpha1/database.ts'
import type { StoreSpec } from '../../api/v1alpha1/store.ts'
import type { DatabaseConfig, StoreConfig } from '../../run/config.ts'
import { MOUNTS } from '../../run/paths.ts'
import type { Pod } from '../manager/resources.ts'
import { given } from './given.ts'

type PodSpec = NonNullable<Pod['spec']>
export type Volume = NonNullable<PodSpec['volumes']>[number]
export type VolumeMount = NonNullable<PodSpec['containers'][number]['volumeMounts']>[number]

/** One volume of the job pod and where its one container sees it. */
export interface Mount {
  readonly volume: Volume
  readonly mount: VolumeMount
}

/** Group only: the pod's fsGroup is the engine's group, and nobody else is in the pod. */
const SECRET_MODE = 0o440

const CA_FILE = 'ca.crt'

interface SecretKey {
  readonly name: string
  readonly key?: string
}

/** Which database of a run: the only one, or one of a transfer's two. Each has folders of its own. */
export type DatabaseRole = 'database' | 'source' | 'target'

/** The database as the run's configuration names it: folders, never values. */
export function databaseConfig(spec: DatabaseSpec, role: DatabaseRole = 'database'): DatabaseConfig {
  const { host, port, database, targetSessionAttrs, tls } = spec
  const ca = tls?.caSecretRef === undefined ? undefined : `${MOUNTS[`${role}CA`]}/${CA_FILE}`
  const cert = tls?.certSecretRef === undefined ? undefined : MOUNTS[`${role}Cert`]
  return {
    secretDir: MOUNTS[role],
    ...given({ host, port, database, targetSessionAttrs }),
    tls: {
      ...given({ mode: tls?.mode, channelBinding: tls?.channelBinding, caFile: ca }),
      ...(cert === undefined ? {} : { certFile: `${cert}/tls.crt`, keyFile: `${cert}/tls.key` }),
    },
  }
}

/** What {@link databaseConfig} names. Whole Secrets are mounted, without subPath, so that rotated ones are seen. */
export function databaseMounts(spec: DatabaseSpec, role: DatabaseRole = 'database'): Mount[] {
  const { caSecretRef, certSecretRef } = spec.tls ?? {}
  return [
    secretMount(role, MOUNTS[role], spec.secretRef.name),
    ...(caSecretRef === undefined ? [] : [caMount(`${role}-ca`, MOUNTS[`${role}CA`], caSecretRef)]),
    ...(certSecretRef === undefined ? [] : [secretMount(`${role}-cert`, MOUNTS[`${role}Cert`], certSecretRef.name)]),
  ]
}

/**
 * The store as the run's configuration names it.
 * @throws Error when neither member is set, which the schema's CEL rule refuses
 */
export function storeConfig(spec: StoreSpec): StoreConfig {
  const { s3, volume } = spec
  if (s3 !== undefined) {
    return {
      type: 'S3',
      endpoint: s3.endpoint,
      bucket: s3.bucket,
      prefix: s3.prefix ?? '',
      ...given({ region: s3.region }),
      forcePathStyle: s3.forcePathStyle ?? true,
      credentialsDir: MOUNTS.store,
      ...(s3.caSecretRef === undefined ? {} : { caFile: `${MOUNTS.storeCA}/${CA_FILE}` }),
    }
  }
  if (volume === undefined) throw new Error('a store has neither s3 nor volume')
  return { type: 'Filesystem', path: volume.path === undefined ? MOUNTS.volume : `${MOUNTS.volume}/${volume.path}` }
}

/** What {@link storeConfig} names; a store that is only read is mounted so. */
export function storeMounts(spec: StoreSpec, readOnly: boolean): Mount[] {
  const { s3, volume } = spec
  const mounts: Mount[] = []
  if (s3 !== undefined) {
    mounts.push(secretMount('store', MOUNTS.store, s3.credentialsSecretRef.name))
    if (s3.caSecretRef !== undefined) mounts.push(caMount('store-ca', MOUNTS.storeCA, s3.caSecretRef))
  }
  if (volume !== undefined) {
    mounts.push({
      volume: { name: 'volume', persistentVolumeClaim: { claimName: volume.claimName, readOnly } },
      mount: { name: 'volume', mountPath: MOUNTS.volume, readOnly },
    })
  }
  return mounts
}

function secretMount(name: string, mountPath: string, secretName: string): Mount {
  return {
    volume: { name, secret: { secretName, defaultMode: SECRET_MODE } },
    mount: { name, mountPath, readOnly: true },
  }
}

function caMount(name: string, mountPath: string, ref: SecretKey): Mount {
  const items = [{ key: ref.key ?? CA_FILE, path: CA_FILE }]
  return {
    volume: { name, secret: { secretName: ref.name, defaultMode: SECRET_MODE, items } },
    mount: { name, mountPath, readOnly: true },
  }
}
