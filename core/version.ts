/** As in package.json: test/unit/core/version.test.ts compares them. */
export const VERSION = '0.2.0';
/** Where a fault of runctl is reported: `bugs` in package.json. */
export const REPORT_TO = 'maintainers@users.noreply.r-seed-2f162e88.example';
