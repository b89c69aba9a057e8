// dumper.to_reader(table_name="public.user_events").to_rows(): dump, then read the file's rows as JavaScript values.
// For other languages: npx pgpack convert --in data_dump.pgpack --out rows.ndjson --to ndjson
import { createReadStream } from 'node:fs'
import { RowReader } from 'pgpack-operator/pgpack'

const reader = await RowReader.objects(createReadStream('data_dump.pgpack'), {
  shape: { id: 'int8', kind: 'text', happened_at: 'timestamptz', details: 'jsonb' },
})
let clicks = 0
for await (const event of reader) {
  if (event.kind === 'click') clicks += 1
}
process.stdout.write(`${clicks} clicks\n`)
