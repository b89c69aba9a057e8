/** One line of an exposition: a counter's or gauge's value, or one bucket of a histogram. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** The samples of a scrape, in Prometheus' text format. */
export class Samples {
  readonly all: readonly Sample[]

  constructor(text: string) {
    this.all = text.split('\n').flatMap(parseLine)
  }

  /** Samples of a name whose labels have these values. */
  select(name: string, labels: Readonly<Record<string, string>> = {}): Sample[] {
    const wanted = Object.entries(labels)
    return this.all.filter((sample) => {
      return sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value)
    })
  }

  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.select(name, labels).reduce((sum, { value }) => sum + value, 0)
  }

  /** Sums by the values of some labels: `LIST pods` -> 4. */
  sumBy(name: string, labelNames: readonly string[]): Map<string, number> {
    const sums = new Map<string, number>()
    for (const { labels, value } of this.select(name)) {
      const key = labelNames.map((label) => labels[label] ?? '').join(' ')
      sums.set(key, (sums.get(key) ?? 0) + value)
    }
    return sums
  }

  /**
   * The upper bound of the bucket that holds a histogram's quantile, over all series of these labels; with `before`, of
   * what was observed since that scrape. NaN where nothing was observed.
   */
  quantile(name: string, quantile: number, labels: Readonly<Record<string, string>> = {}, before?: Samples): number {
    const buckets = new Map<number, number>()
    const add = (samples: Samples, sign: 1 | -1): void => {
      for (const sample of samples.select(`${name}_bucket`, labels)) {
        const bound = Number(sample.labels['le']?.replace('+Inf', 'Infinity'))
        buckets.set(bound, (buckets.get(bound) ?? 0) + sign * sample.value)
      }
    }
    add(this, 1)
    if (before !== undefined) add(before, -1)
    const bounds = [...buckets].sort(([left], [right]) => left - right)
    const total = bounds.at(-1)?.[1] ?? 0
    return total === 0 ? Number.NaN : (bounds.find(([, count]) => count >= quantile * total)?.[0] ?? Number.NaN)
  }
}

function parseLine(line: string): Sample[] {
  const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line) ?? []
  if (name === undefined || line.startsWith('#')) return []
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text = '']) => [label, text])
  return [{ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) }]
}
