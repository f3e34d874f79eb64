import { readFile } from 'node:fs/promises';
import { FAN_OUT, LEAF_SECTORS } from '../maps/map-node.ts';
import * as limits from './limits.ts';
import { HEADER_BYTES } from './pack-ends.ts';
import { DATA_FRAME_BYTES, METADATA_FRAME_BYTES } from '../packs/pack-layout.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import { CONTROL_MAC_BYTES, PREAMBLE_BYTES } from '../control/control-object.ts';

const UNITS: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20 };
const ROW = /^\| [^|]+ \| ([\d,]+)(?: (KiB|MiB))? *\| `([A-Z_]+)` *\|$/;

describe('the limits of the vault format', () => {
  it('are the same in the document and in the program', async () => {
    const document = await readFile(
      new URL('../../../docs/vault-format.md', import.meta.url),
      'utf8',
    );
    const section = document.slice(document.indexOf('## 12.'), document.indexOf('## 13.'));
    const rows = section.split('\n').flatMap((line) => {
      const [, digits, unit = '', name] = ROW.exec(line) ?? [];
      const number = Number(digits?.replaceAll(',', '')) * (UNITS[unit] ?? 1);
      return name === undefined ? [] : [[name, number] as const];
    });
    const rowsOfTable = section.split('\n').filter((line) => line.startsWith('| ')).length - 2;
    expect(rows).toHaveLength(rowsOfTable);
    expect(Object.fromEntries(rows)).toEqual({ ...limits });
  });

  it('fit together', () => {
    expect(limits.LEAF_EXTENTS_MAX).toBe(LEAF_SECTORS);
    expect(limits.NODE_CHILDREN_MAX).toBe(FAN_OUT);
    expect(limits.CHUNK_SECTORS_MAX * SECTOR_BYTES).toBe(limits.DATA_FRAME_RAW_BYTES_MAX);
    expect(DATA_FRAME_BYTES).toBeLessThanOrEqual(limits.DATA_FRAME_RAW_BYTES_MAX);
    expect(METADATA_FRAME_BYTES).toBeLessThanOrEqual(limits.METADATA_FRAME_RAW_BYTES_MAX);
    expect(limits.NODE_BYTES_MAX).toBe(limits.METADATA_FRAME_RAW_BYTES_MAX);
    expect(limits.CONTROL_OBJECT_BYTES_MAX).toBe(
      limits.CONTROL_BODY_BYTES_MAX + PREAMBLE_BYTES + CONTROL_MAC_BYTES,
    );
    // Magic, length and hash.
    expect(limits.KEY_OBJECT_BYTES_MAX).toBe(limits.KEY_JSON_BYTES_MAX + 8 + 4 + 32);
    expect(limits.POINT_OBJECT_BYTES_MAX).toBe(limits.POINT_JSON_BYTES_MAX + HEADER_BYTES + 16);
  });
});
