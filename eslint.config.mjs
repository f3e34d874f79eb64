// @ts-check
import eslint from '@eslint/js';
import prettier from 'eslint-config-prettier';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { commentWidth } from './scripts/lint/comment-width.mjs';

const SYNTAX = [
  { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
  {
    selector: 'NewExpression[callee.name="Date"][arguments.length=0]',
    message: 'Ask the Clock.',
  },
  { selector: 'ExportDefaultDeclaration', message: 'Export by name.' },
];

export default defineConfig(
  { ignores: ['dist/', 'coverage/', 'node_modules/', '.cache/'] },
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  prettier, // Before our own rules: it switches `curly` off.
  {
    languageOptions: {
      parserOptions: {
        projectService: {
          allowDefaultProject: ['*.mjs', '*.cjs', 'scripts/*.mjs', 'bin/*.mjs', 'test/*.mjs'],
          maximumDefaultProjectFileMatchCount_THIS_WILL_SLOW_DOWN_LINTING: 20,
        },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    plugins: { hyperkeep: { rules: { 'comment-width': commentWidth } } },
    rules: {
      // Prettier wraps code, not comments.
      'hyperkeep/comment-width': ['error', 100],
      // Shape: a function fits a screen, a file fits a mind.
      complexity: ['error', 12],
      'max-depth': ['error', 3],
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 4],
      // Honesty: no silent failure, no hidden input.
      curly: 'error',
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Read settings from platform/config.' },
        { object: 'Date', property: 'now', message: 'Ask the Clock.' },
        {
          object: 'Math',
          property: 'random',
          message: 'Use node:crypto, or a seeded generator in tests.',
        },
      ],
      'no-restricted-syntax': ['error', ...SYNTAX],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      // An import of inline types alone still loads the module.
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/require-await': 'off',
      // There is no enum to assign to, and looking for one takes a tenth of the time.
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
    },
  },
  {
    files: ['src/*/**/*.ts'],
    ignores: ['src/api/**', '**/*.module.ts', '**/*.spec.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: [
            {
              name: '@nestjs/common',
              allowImportNames: [
                'Injectable',
                'Inject',
                'OnApplicationBootstrap',
                'OnApplicationShutdown',
                'OnModuleInit',
                'OnModuleDestroy',
              ],
              message:
                'Outside api/, Nest is only for wiring and lifecycle; throw a Fault, not an HTTP exception.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['src/**'],
    ignores: ['**/*.spec.ts', '**/*.contract.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...SYNTAX,
        {
          selector: 'CallExpression[callee.name=/^mkdir/] Property[key.name="recursive"]',
          message: 'It may never end; use makeFolders of kernel/files/folders.',
        },
      ],
    },
  },
  {
    // What the system refuses is a fault with a next step, wherever it happens.
    files: ['src/**/*.ts'],
    ignores: [
      '**/*.spec.ts',
      '**/*.contract.ts',
      'src/kernel/files/files.ts',
      // A log and a thread that take any failure for "it was not done".
      'src/platform/database/limited-file.ts',
      'src/vault/tasks/restore-task.ts',
    ],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          paths: ['fs', 'fs/promises', 'node:fs', 'node:fs/promises'].map((name) => ({
            name,
            message: 'Import from kernel/files/files.ts: its errors are faults.',
          })),
        },
      ],
    },
  },
  {
    files: ['**/*.spec.ts', '**/*.contract.ts', 'test/**'],
    rules: {
      'no-restricted-properties': 'off',
      'max-lines': 'off',
      'max-lines-per-function': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'off',
    },
  },
  {
    // These folders run without a build step: Node strips their types (docs/decisions/0002).
    files: ['src/{kernel,disk,vm,formats,nbd,vault,engines}/**/*.ts', 'src/cli/rescue/**/*.ts'],
    rules: { '@typescript-eslint/parameter-properties': ['error', { prefer: 'class-property' }] },
  },
  {
    // Programs around the product: they print, read the environment and look at the clock.
    files: ['scripts/**', 'bin/**', 'bench/**', 'demo/**', 'test/**'],
    rules: {
      'no-console': 'off',
      'no-restricted-properties': 'off',
      'no-restricted-syntax': 'off',
      complexity: 'off',
      'max-lines': 'off',
      'max-lines-per-function': 'off',
    },
  },
  {
    // A search through millions of states: every field of a state is there, and asking costs time.
    files: ['test/model/**'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
  {
    files: ['*.config.mjs', '*.cjs', 'jest.*.mjs', 'scripts/**/*.mjs', 'bin/*.mjs', 'test/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    rules: {
      'no-restricted-syntax': 'off',
      'no-undef': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'off',
    },
  },
);
