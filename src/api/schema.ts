import type { Static, TObject, TProperties } from 'typebox'
import * as Type from 'typebox'

/**
 * Building blocks of structural schemas (Kubernetes, "Extend the API with CustomResourceDefinitions"): what is written
 * here is the OpenAPI v3 schema of the CRD and, by its static type, the TypeScript type of the resource.
 */

/** One CEL rule of `x-kubernetes-validations`; `message` is what `kubectl apply` shows. */
export interface Rule {
  readonly rule: string
  readonly message: string
}

export const rules = (...list: readonly Rule[]) => ({ 'x-kubernetes-validations': list })

/** An object whose unknown fields the API server prunes (or refuses, with `--validate=strict`). */
export const object = <P extends TProperties>(properties: P, options: Record<string, unknown> = {}): TObject<P> =>
  Type.Object(properties, options)

export const text = (description: string, maxLength: number, options: Record<string, unknown> = {}) =>
  Type.String({ description, minLength: 1, maxLength, ...options })

export const choice = <const T extends readonly string[]>(
  values: T,
  description: string,
  options: Record<string, unknown> = {},
) => Type.Unsafe<T[number]>({ type: 'string', enum: [...values], description, ...options })

/** A map of strings; TypeBox's Record would give patternProperties, which no structural schema may have. */
export const stringMap = (description: string, maxProperties: number) =>
  Type.Unsafe<Record<string, string>>({
    type: 'object',
    description,
    maxProperties,
    additionalProperties: { type: 'string', maxLength: 253 },
  })

/** A part of a PodSpec that is handed on as it is; its own schema would be larger than all of ours (convention 19). */
export const podField = <T>(description: string, type: 'object' | 'array', options: Record<string, unknown> = {}) =>
  Type.Unsafe<T>(
    type === 'object'
      ? { type, description, 'x-kubernetes-preserve-unknown-fields': true, ...options }
      : {
          type,
          description,
          items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
          'x-kubernetes-list-type': 'atomic',
          ...options,
        },
  )

export const integer = (description: string, minimum: number, maximum: number, options: Record<string, unknown> = {}) =>
  Type.Integer({ description, minimum, maximum, format: maximum > 2 ** 31 - 1 ? 'int64' : 'int32', ...options })

/** A count in a status. Written as a number: 2^53 bytes are 8 PiB. */
export const count = (description: string) => Type.Integer({ description, minimum: 0, format: 'int64' })

export const time = (description: string) => Type.String({ description, format: 'date-time' })

/** Segments parted by `/`, not from the root, and none that climbs: part of a key in a store, or a folder. */
export const relativePath = (description: string, maxLength: number) =>
  text(description, maxLength, {
    pattern: '^[^/]+(/[^/]+)*/?$',
    ...rules({
      rule: "!self.split('/').exists(part, part == '.' || part == '..')",
      message: "must not contain the segment '.' or '..'",
    }),
  })

/** A DNS-1123 subdomain: the name of another object in the same namespace. */
export const objectName = (description: string) =>
  text(description, 253, { pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$' })

export const localRef = (description: string) =>
  object({ name: objectName('Name of the object, in this namespace.') }, { description })

export const secretKeyRef = (description: string, defaultKey: string) =>
  object(
    {
      name: objectName('Name of the Secret, in this namespace.'),
      key: Type.Optional(text('Key in the Secret.', 253, { default: defaultKey, pattern: '^[-._a-zA-Z0-9]+$' })),
    },
    { description },
  )

/** Exactly one of the named members (convention 15). */
export const exactlyOneOf = (...names: readonly string[]): Rule => ({
  rule: `[${names.map((name) => `has(self.${name})`).join(', ')}].filter(x, x).size() == 1`,
  message: `exactly one of ${names.join(', ')} must be set`,
})

/** A run's spec does not change, except in `mutable`: a changed run would no longer be what its status tells of. */
export function immutableExcept(properties: TProperties, mutable: readonly string[]): Rule {
  const fixed = Object.keys(properties).filter((name) => !mutable.includes(name))
  const same = (name: string) =>
    `(has(self.${name}) ? has(oldSelf.${name}) && self.${name} == oldSelf.${name} : !has(oldSelf.${name}))`
  return {
    rule: fixed.map(same).join(' && '),
    message: `spec is immutable except for ${mutable.join(', ')}: create a new resource for a new run`,
  }
}

export type { Static }
