import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMap, isSeq, parseDocument, type YAMLMap } from 'yaml'
import { table } from './markdown.ts'

const CHART = join(import.meta.dirname, '../../charts/pgpack-operator')

/** Stands for the release's full name. */
export const RELEASE = 'release-name'

/** One rule of a role (rbac/v1 PolicyRule), and why it is there. */
export interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly why: string
}

/**
 * The rules of one of the chart's named templates: a YAML list with a comment above each entry.
 * @throws Error for a template that is not there, and for a rule without a reason
 */
export function chartRules(template: 'rules' | 'leaderElectionRules'): Rule[] {
  const helpers = readFileSync(join(CHART, 'templates/_helpers.tpl'), 'utf8')
  const pattern = new RegExp(`define "pgpack-operator\\.${template}" -}}\\n([^]*?){{- end }}`)
  const text = pattern.exec(helpers)?.[1]
  if (text === undefined) throw new Error(`templates/_helpers.tpl does not define pgpack-operator.${template}`)
  const list = parseDocument(text.replaceAll(/\{\{ include "[\w.-]+fullname" \. \}\}/g, RELEASE)).contents
  if (!isSeq(list)) throw new Error(`pgpack-operator.${template} is not a list`)
  // The parser gives the first entry's comment to the list itself.
  return list.items.map((item, index) => ruleOf(item, index === 0 ? list.commentBefore : undefined))
}

function ruleOf(item: unknown, firstComment: string | null | undefined): Rule {
  if (!isMap(item)) throw new Error('a rule is not a map')
  const why = (firstComment ?? item.commentBefore ?? '').trim()
  const rule = (item as YAMLMap).toJSON() as Omit<Rule, 'why'>
  if (why === '') throw new Error(`the rule for ${rule.resources.join()} has no comment that says why it is there`)
  return { ...rule, why }
}

/** docs/reference/rbac.md. */
export function rbacPage(): string {
  const head = ['API group', 'Resources', 'Verbs', 'Why']
  return [
    '# Rights',
    'What the chart grants (`rbac.create`), and why. No rule can be left out: in a test an operator begins with no right at all, and is refused each of them before it gets it (test/integration/chart/rbac.test.ts).',
    "## The operator's service account, where its runs are",
    'By a ClusterRole or, with `watchNamespaces`, by a Role in each of these namespaces.',
    table(head, chartRules('rules').map(rowOf)),
    'There is no right on Secrets: the kubelet mounts them into the pods of the Jobs.',
    "## The operator's service account, in its own namespace",
    'By a Role. `release-name` is the full name of the release; without `leaderElection.enabled` there is none of this.',
    table(head, chartRules('leaderElectionRules').map(rowOf)),
    "## The Jobs' service account",
    'None. A Job runs under the service account that `spec.job.serviceAccountName` names, `default` without it, with `automountServiceAccountToken: false`: its pods hold no Kubernetes credentials whatever that account may do.',
    '## People',
    'With `rbac.aggregate` the cluster role `view` may get, list and watch dumps, restores and transfers, and `edit` and `admin` may create, update, patch and delete them. None of them may write a status.',
    '',
  ].join('\n\n')
}

function rowOf({ apiGroups, resources, verbs, resourceNames, why }: Rule): string[] {
  const named = resourceNames === undefined ? '' : ` named ${resourceNames.join(', ')}`
  const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ')
  return [apiGroups.map((group) => group || 'core').join(', '), code(resources) + named, code(verbs), why]
}
