import { trialText } from './trial-text.ts';

const TRIAL = { atMs: 0, location: 's3://bucket/vault', leftovers: 0, checks: [] };

describe('trialText', () => {
  it.each([0, -500, 900, -1400])('makes nothing of a clock that is %d ms apart', (clockSkewMs) => {
    expect(trialText({ ...TRIAL, clockSkewMs })).toContain(
      'Its clock agrees with that of this machine.',
    );
  });

  it('says how far a clock is off', () => {
    expect(trialText({ ...TRIAL, clockSkewMs: -90_400 })).toContain('about 90 s behind');
    expect(trialText({ ...TRIAL, clockSkewMs: 2_100 })).toContain('about 2 s ahead');
  });

  it('says nothing of a store without a clock', () => {
    expect(trialText(TRIAL)).not.toContain('clock');
  });
});
