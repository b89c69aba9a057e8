import { describe, expect, it } from '@jest/globals'
import { copyOptionsPage } from '../../../../scripts/generate/copy-options.ts'
import { VALUE_RULES } from '../../../../src/postgres/copy-options/rules.ts'
import { COPY_FEATURES } from '../../../../src/postgres/copy-options/table.ts'

describe('the reference of the options of COPY', () => {
  const page = copyOptionsPage()
  const [, postgres = '', greenplum = ''] = page.split(/^## (?:PostgreSQL|Greenplum)$/m)

  it.each([
    ['`default`', '`DEFAULT` | – | 16 or later | 16 or later | – | – | –'],
    ['`header: Present`', '`HEADER` | – | 15 or later | yes | – | 15 or later | yes'],
    ['`oids`', '`OIDS` | before 12 | before 12 | before 12 | before 12 | before 12 | before 12'],
    ['`freeze`', '`FREEZE` | yes | yes | yes | no effect, before 17 | no effect, before 17 | no effect, before 17'],
    ['`forceNull: ["*"]`', '`FORCE_NULL *` | – | – | 17 or later | – | – | –'],
  ])('has the row %s for PostgreSQL', (option, cells) => {
    expect(postgres).toContain(`| ${option} | ${cells} |`)
  })

  it('has the options of Greenplum in its own table only', () => {
    expect(greenplum).toContain('| `where` | `WHERE` | 12 or later | 12 or later | 12 or later | – | – | – |')
    expect(greenplum).toContain('| `newline` | `NEWLINE` | no effect | yes | yes | – | – | – |')
    expect(postgres).not.toContain('`newline`')
    expect(greenplum.split('## Values')[0]).not.toContain('`rejectLimit`')
  })

  it('has every option and every rule', () => {
    for (const { keyword } of COPY_FEATURES) expect(page).toContain(`\`${keyword}\``)
    for (const { text } of VALUE_RULES) expect(page).toContain(text)
    expect(page).toContain('- `rejectLimit` needs `onError: Ignore`.')
  })
})
