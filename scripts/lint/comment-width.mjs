// An ESLint rule: no line of a comment ends beyond the column given.

/** Comments that tools read and that must stay on one line. */
const DIRECTIVE = /^\s*(eslint-|prettier-ignore|@ts-)/;
/** A word that is an address cannot be broken. */
const ADDRESS = /https?:\/\/\S+\W*$/;

/** @type {import('eslint').Rule.RuleModule} */
export const commentWidth = {
  meta: {
    type: 'layout',
    schema: [{ type: 'integer', minimum: 40 }],
    messages: { wide: 'The comment ends at column {{end}}; wrap it at {{width}}.' },
  },
  create(context) {
    const [width] = context.options;
    const { sourceCode } = context;
    return {
      Program() {
        for (const { value, loc } of sourceCode.getAllComments()) {
          if (DIRECTIVE.test(value)) {
            continue;
          }
          for (let line = loc.start.line; line <= loc.end.line; line += 1) {
            const text = sourceCode.lines[line - 1];
            // Code that follows on the last line does not count.
            const end = line === loc.end.line ? loc.end.column : text.length;
            if (end > width && !ADDRESS.test(text.slice(0, end))) {
              context.report({
                loc: { start: { line, column: width }, end: { line, column: end } },
                messageId: 'wide',
                data: { end: String(end), width: String(width) },
              });
            }
          }
        }
      },
    };
  },
};
