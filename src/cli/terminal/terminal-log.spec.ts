import { TextBuffer } from '../../../test/support/service/terminal-buffers.ts';
import { TerminalLog } from './terminal-log.ts';

describe('TerminalLog', () => {
  it('tells the same on one terminal once, whichever log it comes from', () => {
    const sink = new TextBuffer();
    new TerminalLog(sink).warn('vault.cache-not-used', { why: 'no room' });
    new TerminalLog(sink).warn('vault.cache-not-used', { why: 'no room' });
    new TerminalLog(sink).warn('vault.cache-not-used', { why: 'no right' });

    expect(sink.text.split('\n')).toEqual([
      'note: vault cache not used (why no room)',
      'note: vault cache not used (why no right)',
      '',
    ]);
  });
});
