import { PgpackError } from '../../errors.ts'
import { array, type ElementType } from './array.ts'
import { BUILTIN_TYPES, type BuiltinType, RECORD_ARRAY_OID, RECORD_OID } from './builtin.ts'
import { type Codec, unfit } from './codec.ts'
import { composite, record } from './composite.ts'
import type { TypeDefinition } from './definitions.ts'
import { hstore } from './hstore.ts'
import { multirange, type Range, range } from './range.ts'
import { opaque, textLike } from './text.ts'

const byName = new Map<string, BuiltinType>(BUILTIN_TYPES.map((type) => [type.codec.name, type]))

/** A type of PostgreSQL itself by its pg_type.typname. */
export function builtinType(name: string): BuiltinType | undefined {
  return byName.get(name)
}

export interface CodecSource {
  codec(oid: number): Codec
}

/**
 * The codecs by type OID: those of PostgreSQL itself, and those of the given definitions. A type that is in neither
 * passes as its bytes.
 */
export class TypeRegistry implements CodecSource {
  readonly #definitions = new Map<number, TypeDefinition>()
  readonly #elements = new Map<number, number>()
  readonly #codecs = new Map<number, Codec>()
  /** Types whose codecs are being built, for domains that stand on themselves. */
  readonly #open = new Set<number>()

  constructor(definitions: readonly TypeDefinition[] = []) {
    const codecOf = (oid: number) => this.codec(oid)
    for (const { codec, oid, arrayOid, delimiter } of BUILTIN_TYPES) {
      this.#codecs.set(oid, codec)
      if (arrayOid !== 0) this.#addArray(arrayOid, delimiter === undefined ? { oid, codec } : { oid, codec, delimiter })
    }
    this.#codecs.set(RECORD_OID, record(codecOf))
    this.#addArray(RECORD_ARRAY_OID, { oid: RECORD_OID, codec: record(codecOf) })
    for (const definition of definitions) {
      this.#definitions.set(definition.oid, definition)
      if (definition.arrayOid) this.#elements.set(definition.arrayOid, definition.oid)
    }
  }

  /** True for a type whose values are more than bytes. */
  knows(oid: number): boolean {
    return this.#codecs.has(oid) || this.#definitions.has(oid) || this.#elements.has(oid)
  }

  /** @throws PgpackError CONFIG_INVALID for a definition that stands on itself */
  codec(oid: number): Codec {
    const known = this.#codecs.get(oid)
    if (known !== undefined) return known
    if (!this.knows(oid)) return opaque(oid)
    if (this.#open.has(oid))
      throw new PgpackError('CONFIG_INVALID', `the definition of type OID ${oid} stands on itself`)
    this.#open.add(oid)
    try {
      const codec = this.#build(oid)
      this.#codecs.set(oid, codec)
      return codec
    } finally {
      this.#open.delete(oid)
    }
  }

  #addArray(oid: number, element: ElementType): void {
    this.#codecs.set(oid, array(element))
  }

  #build(oid: number): Codec {
    const definition = this.#definitions.get(oid)
    if (definition !== undefined) return this.#define(definition)
    const element = this.#elements.get(oid) ?? 0
    return array({ oid: element, codec: this.codec(element) })
  }

  #define(definition: TypeDefinition): Codec {
    const { name } = definition
    switch (definition.kind) {
      case 'enum':
        return enumeration(name, definition.labels)
      case 'domain':
        return { ...this.codec(definition.base), name }
      case 'composite':
        return composite(name, definition.fields, (oid) => this.codec(oid))
      case 'range':
        return range(name, this.codec(definition.subtype))
      case 'multirange':
        return multirange(name, this.codec(definition.range) as Codec<Range>)
      case 'base':
        return { ...baseCodec(definition.like), name }
    }
  }
}

function enumeration(name: string, labels: readonly string[] | null | undefined): Codec<string> {
  const codec = textLike(name)
  if (!labels) return codec
  const known = new Set(labels)
  return {
    ...codec,
    encode(value, out) {
      if (!known.has(value)) unfit(name, `one of ${labels.slice(0, 20).join(', ')}`, value)
      codec.encode(value, out)
    },
  }
}

/** @throws PgpackError CONFIG_INVALID */
function baseCodec(like: string): Codec {
  const codec: Codec | undefined = like === 'hstore' ? hstore : byName.get(like)?.codec
  if (codec !== undefined) return codec
  throw new PgpackError('CONFIG_INVALID', `a type is defined like ${like}, which is no known type`)
}

/** The types of PostgreSQL itself. */
export const BUILTIN_REGISTRY = new TypeRegistry()
