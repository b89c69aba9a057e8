import { PgpackError } from '../../errors.ts'
import { type CheckedCopy, VALUE_RULES } from './rules.ts'
import type { CopyOptions } from './schema.ts'
import { type CopyFeature, type CopyTarget, featuresOf, supportOf } from './table.ts'
import { describeCell, describeTarget, nameOf } from './words.ts'

/**
 * Whether a COPY can have these options.
 * @throws PgpackError CONFIG_INVALID with all problems at once; each names the option, what was found and what is needed.
 */
export function checkCopyOptions(options: CopyOptions, copy: CheckedCopy): void {
  const problems = copyOptionProblems(options, copy)
  if (problems.length === 0) return
  const found = describeTarget(copy)
  const message = `copyOptions do not fit ${found}: ${problems.join('; ')}`
  throw new PgpackError('CONFIG_INVALID', message, { found })
}

/** The problems alone, for a report that holds others too; empty where there is none. */
export function copyOptionProblems(options: CopyOptions, copy: CheckedCopy): string[] {
  const features = featuresOf(options)
  const had = features.filter((feature) => supportOf(feature, copy) === 'Allowed')
  const present = Object.fromEntries(had.map(({ option }) => [option, options[option]])) as CopyOptions
  return [
    ...features.flatMap((feature) => [...supportProblems(feature, copy)]),
    ...had.flatMap((feature) => [...companyProblems(feature, features, copy)]),
    ...VALUE_RULES.flatMap((rule) => [...rule.problems(present, copy)]),
  ]
}

function* supportProblems(feature: CopyFeature, target: CopyTarget): Generator<string> {
  const support = supportOf(feature, target)
  if (support === 'Allowed') return
  const here = feature.allowed.filter(({ flavour }) => flavour === target.flavour)
  const needed = (here.length === 0 ? feature.allowed : here).map(describeCell).join(', or ')
  const effect = support === 'Ignored' ? 'has no effect there: it ' : ''
  yield `${nameOf(feature)} ${effect}needs ${needed}, found ${describeTarget(target)}`
}

function* companyProblems(
  feature: CopyFeature,
  features: readonly CopyFeature[],
  { source }: CheckedCopy,
): Generator<string> {
  const { requires, tableOnly } = feature
  if (tableOnly && source === 'Query') yield `${nameOf(feature)} needs the COPY of a whole table, found that of a query`
  if (requires === undefined) return
  const met = features.some(({ option, value }) => option === requires.option && value === requires.value)
  if (!met) yield `${nameOf(feature)} needs ${[requires.option, requires.value].filter(Boolean).join(' ')}`
}
