import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { ApiObject } from '../../src/operator/manager/resources.ts'
import { run } from '../cluster/processes.ts'
import { ensureTools } from '../cluster/tools.ts'

export const CHART = join(import.meta.dirname, '../../charts/pgpack-operator')
/** The release that the tests make, and what the chart calls its things. */
export const RELEASE = { name: 'pgpack', namespace: 'pgpack-system', fullname: 'pgpack-pgpack-operator' } as const

/** An object of the chart. */
export interface Rendered extends ApiObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    name: string
    namespace?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
  }
}

export async function helm(...args: string[]): Promise<string> {
  return run((await ensureTools(['helm'])).helm, args)
}

/** The chart's objects, as {@link RELEASE} makes them on Kubernetes 1.34. */
export async function renderChart<T extends Rendered = Rendered>(...flags: string[]): Promise<T[]> {
  const release = [RELEASE.name, CHART, '--namespace', RELEASE.namespace, '--kube-version', '1.34.0']
  const text = await helm('template', ...release, ...flags)
  return parseAllDocuments(text)
    .map((document) => document.toJS() as T | null)
    .filter((object) => object !== null)
}

/** Installs the chart, CRDs and rights included, where nothing runs what its Deployment asks for. */
export async function installChart(kubeconfig: string, ...flags: string[]): Promise<void> {
  const where = ['--namespace', RELEASE.namespace, '--create-namespace', '--kubeconfig', kubeconfig]
  await helm('upgrade', '--install', RELEASE.name, CHART, ...where, ...flags)
}
