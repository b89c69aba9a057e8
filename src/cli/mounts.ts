import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PgpackError } from '../errors.ts'
import { connectionFromSecret } from '../postgres/secret.ts'
import type { ConnectionConfig } from '../postgres/types.ts'
import type { DatabaseConfig, StoreConfig } from '../run/config.ts'
import { openStore, parseCredentials } from '../storage/location.ts'
import type { ObjectStore } from '../storage/store.ts'

/** A mounted Secret: file name to content. Kubernetes keeps its own links in names that start with `..`. */
async function readMountedSecret(folder: string): Promise<Record<string, string>> {
  try {
    const names = (await readdir(folder)).filter((name) => !name.startsWith('.'))
    const entries = names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)
    return Object.fromEntries(await Promise.all(entries))
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `the secret mounted at ${folder} cannot be read`, { cause })
  }
}

async function readPem(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `the certificate file ${file} cannot be read`, { cause })
  }
}

export async function databaseFromMounts(config: DatabaseConfig): Promise<ConnectionConfig> {
  const secret = await readMountedSecret(config.secretDir)
  const { caFile, certFile, keyFile, ...tls } = config.tls
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map(readPem))
  const pems = Object.entries({ ca, cert, key }).filter(([, pem]) => pem !== undefined)
  return connectionFromSecret(secret, { ...config, tls: { ...tls, ...Object.fromEntries(pems) } })
}

export async function storeFromMounts(config: StoreConfig): Promise<ObjectStore> {
  if (config.type === 'Filesystem') return openStore(config)
  const { endpoint, bucket, prefix, region, forcePathStyle } = config
  const ca = await readPem(config.caFile)
  return openStore({
    type: 'S3',
    endpoint,
    bucket,
    prefix,
    forcePathStyle,
    ...(region === undefined ? {} : { region }),
    ...(ca === undefined ? {} : { caPem: ca }),
    ...parseCredentials(await readMountedSecret(config.credentialsDir)),
  })
}
