// node --import ./from-dist.ts PROGRAM
//
// What the program imports of src is taken from dist, where it was built: Node does not strip
// decorators, and no class may be there twice.
import { registerHooks } from 'node:module';

const root = new URL('../../../', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) => {
    const found = next(specifier, context);
    if (!found.url.startsWith(`${root}src/`)) {
      return found;
    }
    const path = found.url.slice(`${root}src/`.length).replace(/[.]ts$/, '.js');
    return { ...found, url: `${root}dist/${path}`, format: 'module' };
  },
});
