import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import { crdFiles, MAX_CRD_BYTES, plainCustomResourceDefinitions } from '../../../scripts/generate/crds.ts'
import { referenceFiles } from '../../../scripts/generate/reference.ts'
import { ERROR_CODES } from '../../../src/errors.ts'
import { REASONS } from '../../../src/operator/status/reasons.ts'

const root = join(import.meta.dirname, '../../..')
const crds = plainCustomResourceDefinitions()

interface Node {
  readonly path: string
  readonly schema: Record<string, unknown>
}

function* walk(schema: unknown, path: string): Generator<Node> {
  if (typeof schema !== 'object' || schema === null) return
  const node = schema as Record<string, unknown>
  yield { path, schema: node }
  const { properties, items, additionalProperties } = node
  for (const [name, child] of Object.entries(properties ?? {})) yield* walk(child, `${path}.${name}`)
  yield* walk(items, `${path}[]`)
  yield* walk(additionalProperties, `${path}{}`)
}

const nodes = crds.flatMap((crd) => [...walk(crd.spec.versions[0]?.schema.openAPIV3Schema, crd.spec.names.kind)])

describe('what is generated', () => {
  it('is what lies in the repository', async () => {
    const generated = await promisify(execFile)(process.execPath, [join(root, 'scripts/generate.ts'), '--check'])
    expect(generated.stderr).toBe('')
  }, 30_000)

  it('has CRDs of a size that kubectl and etcd like', () => {
    for (const [path, text] of Object.entries(crdFiles())) {
      expect({ path, isSmall: Buffer.byteLength(text) < MAX_CRD_BYTES }).toEqual({ path, isSmall: true })
    }
  })

  it('documents every reason and every error code', () => {
    const { 'docs/reference/conditions.md': conditions = '', 'docs/reference/errors.md': errors = '' } =
      referenceFiles()
    for (const reason of Object.keys(REASONS)) expect(conditions).toContain(`\`${reason}\``)
    for (const code of Object.keys(ERROR_CODES)) expect(errors).toContain(`\`${code}\``)
  })

  it('documents every field', () => {
    const pages = Object.values(referenceFiles()).join('\n')
    const fields = nodes.filter(
      ({ path, schema }) => /\.(spec|status)\./.test(path) && typeof schema['type'] === 'string',
    )
    for (const { path } of fields) {
      if (!path.endsWith('[]') && !path.endsWith('{}')) expect(pages).toContain(`\`${path.replace(/^\w+\./, '')}\``)
    }
  })
})

describe('the schemas', () => {
  it('use nothing that a structural schema must not', () => {
    const forbidden = [
      'const',
      '$ref',
      '$id',
      'patternProperties',
      'uniqueItems',
      'anyOf',
      'oneOf',
      'allOf',
      'nullable',
      '~kind',
    ]
    for (const { path, schema } of nodes) {
      expect({ path, found: Object.keys(schema).filter((key) => forbidden.includes(key)) }).toEqual({ path, found: [] })
      expect({ path, additional: schema['additionalProperties'] === false }).toEqual({ path, additional: false })
      const typed = typeof schema['type'] === 'string' || schema['x-kubernetes-int-or-string'] === true
      expect({ path, typed }).toEqual({ path, typed: true })
    }
  })

  it('bound every string, list and map', () => {
    const isBounded = (schema: Record<string, unknown>): boolean => {
      if (schema['type'] === 'string') return 'maxLength' in schema || 'enum' in schema || 'format' in schema
      if (schema['type'] === 'array') return 'maxItems' in schema
      return !('additionalProperties' in schema) || 'maxProperties' in schema
    }
    const unbounded = nodes.filter(({ path, schema }) => /\.(spec|status)\b/.test(path) && !isBounded(schema))
    expect(unbounded.map(({ path }) => path)).toEqual([])
  })

  it('say the type of every list', () => {
    const lists = nodes.filter(({ schema }) => schema['type'] === 'array')
    expect(lists.filter(({ schema }) => !('x-kubernetes-list-type' in schema)).map(({ path }) => path)).toEqual([])
  })

  it('have no required field with a default', () => {
    for (const { path, schema } of nodes) {
      const properties = (schema['properties'] ?? {}) as Record<string, Record<string, unknown>>
      const required = (schema['required'] ?? []) as string[]
      expect({ path, found: required.filter((name) => 'default' in (properties[name] ?? {})) }).toEqual({
        path,
        found: [],
      })
    }
  })

  it('have no floats', () => {
    expect(nodes.filter(({ schema }) => schema['type'] === 'number').map(({ path }) => path)).toEqual([])
  })

  it('describe every field', () => {
    const fields = nodes.filter(({ path }) => /\.(spec|status)(\.|$)/.test(path) && !/(\[\]|\{\})$/.test(path))
    expect(fields.filter(({ schema }) => !('description' in schema)).map(({ path }) => path)).toEqual([])
  })

  it('have conditions first in the status, and require none of its fields', () => {
    for (const crd of crds) {
      const status = nodes.find(({ path }) => path === `${crd.spec.names.kind}.status`)?.schema
      expect(Object.keys(status?.['properties'] ?? {})[0]).toBe('conditions')
      expect(status).not.toHaveProperty('required')
    }
  })
})
