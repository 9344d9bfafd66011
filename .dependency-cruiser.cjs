// Who may import whom: the table of docs/architecture.md. npm run check runs it.
const only = (from, to, extra = {}) => ({
  name: `${from.name ?? from}-imports`,
  severity: 'error',
  from: { path: from.path ?? `^${from}/`, ...extra },
  to: { path: '^(bin|lib|lambdas|core|cli|local|verify|test|instance)/', pathNot: to },
});
const sdk = '(@aws-sdk|@smithy|@aws-lambda-powertools)/';

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    only('core', '^core/'),
    only('bin', '^(bin|lib)/'),
    only('lib', '^(lib|core)/'),
    only({ name: 'adapters', path: '^lambdas/adapters/' }, '^(lambdas/adapters|core)/'),
    only({ name: 'handlers', path: '^lambdas/[^/]+\\.ts$' }, '^(lambdas/adapters|core)/'),
    only('cli', '^(cli|core)/'),
    only('local', '^(local|cli|core)/'),
    only('verify', '^(verify|cli|core)/'),
    {
      name: 'core-is-pure',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: `node_modules/${sdk}|^(node:)?(fs|net|http|https|child_process|process|os)(/|$)` },
    },
    {
      name: 'handlers-go-through-adapters',
      severity: 'error',
      from: { path: '^lambdas/[^/]+\\.ts$' },
      to: { path: 'node_modules/@aws-sdk/' },
    },
    {
      name: 'lib-is-synth-time',
      severity: 'error',
      from: { path: '^(lib|bin)/' },
      to: { path: `node_modules/${sdk}` },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
