import { basename, dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PgpackError } from '../errors.ts'
import { FilesystemStore } from './filesystem.ts'
import { checkKey } from './keys.ts'
import type { S3Dependencies, S3Options } from './s3client.ts'
import type { ObjectStore } from './store.ts'

export type { S3Dependencies, S3Options } from './s3client.ts'

/** A place as the command line names it. */
export type Location =
  | { readonly type: 'S3'; readonly bucket: string /** '' for the bucket itself. */; readonly key: string }
  | { readonly type: 'Filesystem' /** Absolute. */; readonly path: string }

/**
 * `s3://bucket/key`, `file:///path`, or a path. Nothing in an `s3:` location is decoded: `%41` is three characters of
 * the key, as for other tools.
 * @throws PgpackError CONFIG_INVALID
 */
export function parseLocation(text: string): Location {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined && text !== '') return { type: 'Filesystem', path: resolve(text) }
  if (scheme === 'file' && URL.canParse(text)) return { type: 'Filesystem', path: fileURLToPath(text) }
  const [, bucket, rest = ''] = /^s3:\/\/([^/@?#]+)(?:\/(.*))?$/is.exec(text) ?? []
  if (scheme !== 's3' || bucket === undefined) throw badLocation(scheme)
  const key = rest.replace(/^\/+|\/+$/g, '')
  return { type: 'S3', bucket, key: key === '' ? '' : checkKey(key) }
}

/** The text is not shown: it may hold a password, as a database's URL in the wrong place does. */
function badLocation(scheme: string | undefined): PgpackError {
  const expected = 's3://bucket/key, file:///path or a path'
  const found = scheme === undefined ? 'nothing' : `${scheme}:`
  return new PgpackError('CONFIG_INVALID', `a location is ${expected}; found ${found}`, { expected, found })
}

/** A store with everything that is needed to open it: files read, secrets in memory. */
export type StoreOptions =
  | ({ readonly type: 'S3' } & S3Options)
  | { readonly type: 'Filesystem' /** The folder. */; readonly path: string }

/**
 * The client of S3 is loaded when there is a bucket: with Node's HTTP it takes 16 MiB of memory.
 * @throws PgpackError CONFIG_INVALID; the place itself is not looked at before `check`.
 */
export async function openStore(options: StoreOptions, dependencies: S3Dependencies = {}): Promise<ObjectStore> {
  if (options.type === 'Filesystem') return new FilesystemStore(options.path)
  const { S3Store } = await import('./s3.ts')
  return new S3Store(options, dependencies)
}

/** One file as a store and a key: the store is the folder that the file lies in. */
export function fileInFolder(path: string): { readonly folder: string; readonly key: string } {
  const absolute = resolve(path)
  return { folder: dirname(absolute), key: checkKey(basename(absolute)) }
}

export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** Names that are in use: our own, those of AWS's environment, and those that CloudNativePG's examples have. */
const credentialNames = {
  accessKeyId: ['accessKeyId', 'AWS_ACCESS_KEY_ID', 'ACCESS_KEY_ID'],
  secretAccessKey: ['secretAccessKey', 'AWS_SECRET_ACCESS_KEY', 'ACCESS_SECRET_KEY'],
  sessionToken: ['sessionToken', 'AWS_SESSION_TOKEN', 'ACCESS_SESSION_TOKEN'],
} as const

/**
 * Credentials from a Secret's data, by name.
 * @throws PgpackError CONFIG_INVALID that names what is missing and what there is, never a value
 */
export function parseCredentials(files: Readonly<Record<string, string>>): S3Credentials {
  const find = (names: readonly string[]) => names.map((name) => files[name]?.trim()).find((value) => value)
  const accessKeyId = find(credentialNames.accessKeyId)
  const secretAccessKey = find(credentialNames.secretAccessKey)
  const sessionToken = find(credentialNames.sessionToken)
  if (accessKeyId === undefined) throw missing(credentialNames.accessKeyId, files)
  if (secretAccessKey === undefined) throw missing(credentialNames.secretAccessKey, files)
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
}

function missing(names: readonly string[], files: Readonly<Record<string, string>>): PgpackError {
  const [first, ...others] = names
  const keys = Object.keys(files).sort()
  const found = keys.length === 0 ? 'no keys' : `the keys ${keys.join(', ')}`
  const expected = `a key ${first} (or ${others.join(', ')}) that is not empty`
  return new PgpackError('CONFIG_INVALID', `the store's credentials have ${found}; ${expected} is needed`, {
    expected,
    found,
  })
}
