import { formatTable } from './table.ts';

describe('formatTable', () => {
  it('lines columns up and leaves no trailing blanks', () => {
    const text = formatTable(
      [{ title: 'NAME' }, { title: 'SIZE', align: 'right' }, { title: 'NOTE' }],
      [
        ['web', '1 B', ''],
        ['database', '10 GiB', 'big'],
      ],
    );

    expect(text).toBe('NAME        SIZE  NOTE\nweb          1 B\ndatabase  10 GiB  big\n');
  });

  it('shows control characters of a hostile name as a mark', () => {
    const text = formatTable([{ title: 'NAME' }], [['a\u001b[2Jb\nc\u202e']]);

    expect(text).toBe('NAME\na\u{fffd}[2Jb\u{fffd}c\u{fffd}\n');
  });
});
