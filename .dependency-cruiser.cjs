// Who may import whom (STYLE.md, "Folders"). `npm run check` runs it.
const everything = '^(aws|bench|bin|cli|core|lambdas|lib|local|package|test|verify)/';

/** Files below `from` may import files below `to` alone, of all that is ours. */
const only = (name, from, to) => ({
  name,
  severity: 'error',
  from: { path: `^${from}` },
  to: { path: everything, pathNot: `^(${to.join('|')})` },
});

/** A folder of core imports itself, the shared names, errors, units and what was sent, and these folders. */
const core = (folder, ...others) =>
  only(`core-${folder}`, `core/${folder}/`, [
    'core/(names|errors|sent|units|version)\\.ts$',
    `core/${folder}/`,
    ...others.map((other) => `core/${other}/`),
  ]);

/** The parts of the command line know AWS, core and the terminal; commands know all parts. */
const cli = (folder, ...others) =>
  only(`cli-${folder}`, `cli/${folder}/`, [
    'aws/',
    'core/',
    'cli/(context|errors|project)\\.ts$',
    'cli/(account|output|terminal)/',
    `cli/${folder}/`,
    ...others.map((other) => `cli/${other}/`),
  ]);

const sdk = 'node_modules/(@aws-sdk|@smithy|@aws-lambda-powertools)/';

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    only('core-root', 'core/[^/]+\\.ts$', ['core/[^/]+\\.ts$']),
    core('archive'),
    core('metrics'),
    core('report', 'cost', 'metrics', 'outcome', 'protocol', 'workflow'),
    core('results', 'metrics', 'report', 'outcome', 'protocol', 'logs'),
    core('spec', 'archive', 'metrics'),
    core('protocol'),
    core('schedule'),
    core('logs', 'protocol'),
    core('cost', 'workflow', 'spec'),
    core('workflow', 'cost', 'protocol', 'spec', 'logs', 'metrics'),
    core('checkpoints', 'protocol', 'workflow', 'spec'),
    core('environments', 'checkpoints', 'protocol', 'workflow'),
    core('job', 'cost', 'checkpoints', 'environments', 'protocol', 'logs', 'workflow', 'spec', 'metrics'),
    core('outcome', 'cost', 'environments', 'job', 'protocol', 'workflow', 'spec', 'logs'),
    core('attempts', 'cost', 'outcome', 'checkpoints', 'protocol', 'spec', 'workflow'),
    core('power', 'job', 'spec', 'workflow'),
    core('images', 'archive', 'job', 'protocol', 'spec', 'workflow'),
    core('notify', 'cost', 'outcome', 'checkpoints', 'workflow', 'spec'),
    only('aws', 'aws/', ['aws/', 'core/']),
    only('bin', 'bin/app', ['lib/']),
    only('lib', 'lib/', ['lib/', 'core/']),
    only('adapters', 'lambdas/adapters/', ['lambdas/adapters/', 'aws/', 'core/']),
    only('handlers', 'lambdas/[^/]+\\.ts$', ['lambdas/adapters/', 'aws/', 'core/']),
    cli('account'),
    only('cli-output', 'cli/output/', ['cli/output/', 'cli/(errors|terminal/style)\\.ts$', 'core/']),
    cli('archive', 'project'),
    cli('project'),
    cli('init', 'archive', 'project'),
    cli('runs', 'archive', 'project', 'logs'),
    cli('logs', 'runs', 'project'),
    cli('metrics', 'runs', 'logs', 'project'),
    only('cli-ui', 'cli/ui/', [
      'aws/',
      'core/',
      'cli/(context|errors|failure)\\.ts$',
      'cli/(logs|output|project|report|runs|terminal|ui)/',
    ]),
    cli('schedules', 'archive', 'project'),
    cli('deploy'),
    cli('images', 'runs'),
    cli('doctor', 'archive', 'project'),
    only('cli-commands', 'cli/(commands/|[^/]+\\.ts$)', ['cli/', 'aws/', 'core/']),
    only('cli-terminal', 'cli/terminal/', ['cli/terminal/', 'cli/(errors|context)\\.ts$', 'core/']),
    only('package', 'package/', ['package/', 'lib/']),
    only('local', 'local/', ['local/', 'cli/', 'core/']),
    only('verify', 'verify/', ['verify/', 'aws/', 'cli/', 'core/']),
    {
      name: 'core-is-pure',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: `${sdk}|^(node:)?(fs|net|http|https|child_process|process|os)(/|$)` },
    },
    {
      name: 'handlers-go-through-adapters',
      severity: 'error',
      from: { path: '^lambdas/[^/]+\\.ts$' },
      to: { path: 'node_modules/@aws-sdk/' },
    },
    { name: 'lib-is-synth-time', severity: 'error', from: { path: '^(lib|bin/app)' }, to: { path: sdk } },
    {
      name: 'product-does-not-use-tests',
      severity: 'error',
      from: { path: '^(aws|bin|cli|core|lambdas|lib|local|package|verify)/' },
      to: { path: '^(test|bench)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
