import { readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import type { Command } from 'commander'
import { PgpackError } from '../errors.ts'
import { parseTypeDefinitions } from '../pgpack/rows/definitions.ts'
import { BUILTIN_REGISTRY, TypeRegistry } from '../pgpack/rows/registry.ts'
import { type Manifest, readManifest } from '../storage/manifest.ts'
import type { Place } from './place.ts'

export interface TypesOptions {
  readonly types?: string
}

export function withTypesOption(command: Command): Command {
  return command.option(
    '--types <path>',
    'JSON file with the definitions of enums, domains, composites …, instead of those in the manifest beside the file (docs/pgpack.md)',
  )
}

/**
 * The codecs for a file's columns: by the given definitions, else by those of the dump's manifest beside the file.
 * @throws PgpackError CONFIG_INVALID
 */
export async function openRegistry(
  { types }: TypesOptions,
  place?: Place & { readonly signal: AbortSignal },
): Promise<TypeRegistry> {
  if (types !== undefined) return new TypeRegistry(parseTypeDefinitions(await readText(types)))
  const beside = place === undefined ? undefined : await manifestBeside(place)
  return beside?.types === undefined
    ? BUILTIN_REGISTRY
    : new TypeRegistry(parseTypeDefinitions(JSON.stringify(beside.types)))
}

/** The manifest that names the file; a manifest.json of something else is none. */
async function manifestBeside({
  store,
  key,
  signal,
}: Place & { readonly signal: AbortSignal }): Promise<Manifest | undefined> {
  const folder = posix.dirname(key)
  try {
    const { manifest } = await readManifest(store, folder === '.' ? '' : folder, signal)
    return manifest.objects.some(({ file }) => file === posix.basename(key)) ? manifest : undefined
  } catch (error) {
    if (error instanceof PgpackError && error.code.startsWith('MANIFEST_')) return undefined
    throw error
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `the type definitions in ${path} cannot be read`, { cause })
  }
}
