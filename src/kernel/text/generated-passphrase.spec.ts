import { generatePassphrase } from './generated-passphrase.ts';

describe('generatePassphrase', () => {
  it('gives six groups of five characters, each time others', () => {
    const made = Array.from({ length: 100 }, generatePassphrase);

    expect(new Set(made).size).toBe(100);
    for (const passphrase of made) {
      expect(passphrase).toMatch(/^([0-9A-HJKMNP-TV-Z]{5}-){5}[0-9A-HJKMNP-TV-Z]{5}$/);
    }
  });
});
