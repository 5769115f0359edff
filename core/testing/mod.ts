/**
 * The kit for plugin authors: each function declares the tests that any plugin of its kind must pass, besides the
 * cases given.
 *
 * @example The test file of a metric, as a function only because examples run inside a test, where none can be declared
 * ```ts
 * import { brier } from "@credence/credence";
 * import { testMetric } from "@credence/credence/testing";
 *
 * export const declareTests = () =>
 *   testMetric(brier, {
 *     cases: [
 *       { pairs: [[1, 1], [0, 0]], expected: 0 },
 *       { pairs: [[1, 0.5], [0, 0.5]], expected: 0.25 },
 *     ],
 *   });
 * ```
 *
 * @module
 */
export { FakeModel } from "./fake_model.ts";
export type { FakeModelOptions } from "./fake_model.ts";
export {
  testDataset,
  testLabeler,
  testMethod,
  testMetric,
  testModelFamily,
  testPromptStyle,
} from "./contracts.ts";
export type {
  DatasetCases,
  LabelerCase,
  LabelerCases,
  MethodCases,
  MetricCases,
  ModelFamilyCases,
  PromptStyleCases,
} from "./contracts.ts";
export { FakeEndpoint } from "./fake_endpoint.ts";
export type { FakeReply, SeenRequest } from "./fake_endpoint.ts";
