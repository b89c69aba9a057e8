import { CSVParser } from '../../src/pgpack/convert/csv.ts'

/** The rows of a CSV by the names in its first line; null and the empty string are both ''. */
export function readCSV(text: string): Record<string, string>[] {
  const parser = new CSVParser(2 ** 20)
  const [names = [], ...records] = [...parser.push(text), ...parser.end()]
  return records.map((record) => Object.fromEntries(names.map((name, index) => [name ?? '', record[index] ?? ''])))
}
