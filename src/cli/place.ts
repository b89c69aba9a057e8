import type { Command } from 'commander'
import { PgpackError } from '../errors.ts'
import { fileInFolder, openStore, parseCredentials, parseLocation, type StoreOptions } from '../storage/location.ts'
import type { ObjectStore } from '../storage/store.ts'
import type { Terminal } from './terminal.ts'

/** One object of a store, as `--in`, `--out` or an argument names it. */
export interface Place {
  readonly store: ObjectStore
  readonly key: string
}

export interface PlaceOptions {
  readonly s3Endpoint?: string
  readonly s3Region?: string
  readonly s3VirtualHost: boolean
}

type Environment = Terminal['env']

export function withPlaceOptions(command: Command): Command {
  return command
    .option('--s3-endpoint <url>', 'S3 service (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL)')
    .option('--s3-region <region>', 'S3 region (AWS_REGION, AWS_DEFAULT_REGION)')
    .option('--s3-virtual-host', 'bucket in the host name instead of the path', false)
}

/** Opens a place for the time of `work`. @throws PgpackError CONFIG_INVALID, and what `work` throws */
export async function withPlace<T>(
  text: string,
  options: PlaceOptions,
  environment: Environment,
  work: (place: Place) => Promise<T>,
): Promise<T> {
  const place = await openPlace(text, options, environment)
  try {
    return await work(place)
  } finally {
    place.store.close()
  }
}

async function openPlace(text: string, options: PlaceOptions, environment: Environment): Promise<Place> {
  const location = parseLocation(text)
  if (location.type === 'Filesystem') {
    const { folder, key } = fileInFolder(location.path)
    return { store: await openStore({ type: 'Filesystem', path: folder }), key }
  }
  if (location.key === '') throw new PgpackError('CONFIG_INVALID', `${text} names a bucket: expected s3://bucket/key`)
  return { store: await openStore(s3Options(location.bucket, options, environment)), key: location.key }
}

function s3Options(bucket: string, options: PlaceOptions, environment: Environment): StoreOptions {
  const region = options.s3Region ?? environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION']
  const endpoint = options.s3Endpoint ?? environment['AWS_ENDPOINT_URL_S3'] ?? environment['AWS_ENDPOINT_URL']
  if (endpoint === undefined) {
    throw new PgpackError('CONFIG_INVALID', 'no S3 service is named: give --s3-endpoint or set AWS_ENDPOINT_URL')
  }
  const names = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']
  const present = names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]] as const]))
  return {
    type: 'S3',
    endpoint,
    bucket,
    prefix: '',
    forcePathStyle: !options.s3VirtualHost,
    ...(region === undefined ? {} : { region }),
    ...parseCredentials(Object.fromEntries(present)),
  }
}
