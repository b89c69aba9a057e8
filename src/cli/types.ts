import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { PgpackError } from '../errors.ts'
import { parseTypeDefinitions } from '../pgpack/rows/definitions.ts'
import { BUILTIN_REGISTRY, TypeRegistry } from '../pgpack/rows/registry.ts'

export interface TypesOptions {
  readonly types?: string
}

export function withTypesOption(command: Command): Command {
  return command.option(
    '--types <path>',
    'JSON file with the definitions of enums, domains, composites … (docs/pgpack.md)',
  )
}

/** @throws PgpackError CONFIG_INVALID */
export async function openRegistry({ types }: TypesOptions): Promise<TypeRegistry> {
  if (types === undefined) return BUILTIN_REGISTRY
  return new TypeRegistry(parseTypeDefinitions(await readText(types)))
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new PgpackError('CONFIG_INVALID', `the type definitions in ${path} cannot be read`, { cause })
  }
}
