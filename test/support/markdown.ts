import { format, resolveConfig } from 'prettier';

/** `text` as Prettier leaves a document of this repository, so that what is generated stays. */
export async function formatted(text: string): Promise<string> {
  const options = await resolveConfig(new URL('../../docs/errors.md', import.meta.url));
  return await format(text, { ...options, parser: 'markdown' });
}
