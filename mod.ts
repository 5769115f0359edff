/**
 * Credence teaches a language model to know what it doesn't know, on any GPU that WebGPU reaches.
 *
 * This is the one public door: what plugin authors write against, what programs call, and the built-in plugins.
 *
 * @module
 */

// What a plugin author writes against.
export type {
  Adapter,
  AdapterInfo,
  AdapterQuery,
  ChatMessage,
  ChatOptions,
  ChoiceScore,
  ClassifierHead,
  ClassifierShape,
  ClassifierTrainer,
  Continuation,
  ContinuationScore,
  ContinuedSequence,
  Dataset,
  DatasetRequest,
  DivergenceType,
  EncodeOptions,
  ExpertDescription,
  FeatureBatch,
  GenerationOptions,
  HiddenStateOptions,
  Labeler,
  LabelerContext,
  LabelRequest,
  LabelSession,
  LanguageModel,
  LinearName,
  LoraOptions,
  LossTerm,
  Method,
  MethodContext,
  Metric,
  ModelFamily,
  OptimizerOptions,
  Options,
  Plugin,
  PluginBase,
  PluginKind,
  ProgressSink,
  PromptStyle,
  RemoteModel,
  RemoteModelContext,
  RopeScaling,
  Score,
  Scored,
  StepResult,
  Tally,
  TextModel,
  TextOptions,
  Tokenizer,
  TokenSpan,
  TrainableMethod,
  Trainer,
  TrainerParts,
  TrainingContext,
  TrainingExample,
  TrainingRows,
  TransformerDescription,
  Verdict,
} from "./core/mod.ts";
export { checkOptions, flagName, resolveOptions } from "./core/mod.ts";
export { REQUEST_DEFAULTS, REQUEST_HELP, REQUEST_OPTIONS, requestLimits } from "./core/mod.ts";
export type { OptionLimit, RequestSettings } from "./core/mod.ts";
export { dataError, EXIT_CODES, nearest, redact, suggestion, UserError } from "./core/mod.ts";
export type { ErrorKind, ErrorParts } from "./core/mod.ts";
export { listedChoices } from "./core/mod.ts";
export { answerText, renderPrompt } from "./core/mod.ts";
export {
  answerTokens,
  encodePrompt,
  encodeQuery,
  encodeWithin,
  findAnswers,
  QUERY_FORMATS,
  queryFormat,
  queryText,
  queryTokens,
  ROMAN_CHOICE,
} from "./core/mod.ts";
export type { QueryFormat, QueryOptions } from "./core/mod.ts";
export { CHAT_INSTRUCTION, CHAT_USES, checkChat, encodeChat, usesChat } from "./core/mod.ts";
export type { ChatUse } from "./core/mod.ts";
export { checkBaseModel } from "./core/mod.ts";
export type { BaseModel } from "./core/mod.ts";
export { createRng } from "./core/mod.ts";
export type { Rng } from "./core/mod.ts";
export {
  exists,
  fileError,
  hashFile,
  readCsv,
  readJson,
  readText,
  syncFolder,
  writeCsv,
  writeFileAtomic,
  writeJsonAtomic,
} from "./core/mod.ts";
export { readTorchTensors } from "./core/mod.ts";
export type { StoredTensor } from "./core/mod.ts";

// A grid of trainings and evaluations.
export { expandMatrix, SAME } from "./core/mod.ts";
export type { MatrixAnswers, MatrixAxes, MatrixCell, MatrixTraining } from "./core/mod.ts";

// The records that flow between stages.
export type {
  Generation,
  Home,
  Label,
  Labeled,
  Prediction,
  PredictionRow,
  Prompt,
  Question,
  Split,
  StoredRow,
  StyleWording,
  Wording,
} from "./core/mod.ts";
export {
  answeredText,
  isLabeled,
  isSameQuestion,
  isStoredRow,
  listSnapshot,
  promptText,
  questionKey,
  ROW_COLUMNS,
  SPLITS,
} from "./core/mod.ts";
export { readPredictions, readRows, writePredictions, writeRows } from "./core/mod.ts";

// The stages, and what surrounds them.
export { isModelFamily, Registry, splitName } from "./core/mod.ts";
export type { PluginByKind, Registered } from "./core/mod.ts";
export { cacheFolder, canonical, differences, Journal, RunFolder } from "./core/mod.ts";
export type { Json, StageInputs, StageOutcome, StageRecord, StageRun } from "./core/mod.ts";
export { findLabeler, OpenLabeler } from "./core/mod.ts";
export type { NamedLabeler } from "./core/mod.ts";
export {
  generateAnswers,
  labelAnswers,
  labelRequest,
  loadPrompts,
  meansOver,
  predictConfidence,
  renderReport,
  scoresOf,
  summarise,
  validateDataset,
  writeAnswers,
} from "./core/mod.ts";
export type {
  Answered,
  AnswerOptions,
  Finding,
  Judged,
  Means,
  PromptRun,
  ReportedAudit,
  ReportedRun,
  Summary,
  TaskMeans,
  Validation,
  ValidationRun,
} from "./core/mod.ts";
export {
  aurocDifference,
  binEdges,
  compareRuns,
  estimate,
  fitTemperature,
  holm,
  matchPredictions,
  probabilityCorrect,
  probabilityOf,
  RESAMPLES,
  softmax,
  tally,
  TEMPERATURE_LIMITS,
} from "./core/mod.ts";
export type { AurocDifference, Comparison, Difference, Differences, Matched } from "./core/mod.ts";
export { calibrated, CALIBRATORS, fitCalibrator } from "./core/mod.ts";
export type {
  Calibrator,
  Estimate,
  FittedCalibrator,
  ScoredLogits,
  ScoredRow,
  Temperature,
  Undefined,
} from "./core/mod.ts";

// How good a labeler is, and how far several agree.
export { krippendorffAlpha } from "./core/mod.ts";
export type { Votes } from "./core/mod.ts";
export { auditSample, correctMetrics, DECISIONS, labelerQuality, QUALITY_TITLES } from "./core/mod.ts";
export type {
  AuditRow,
  CorrectedMetric,
  Decision,
  DecisionCounts,
  LabelerQuality,
  QualityName,
} from "./core/mod.ts";

// The Hugging Face Hub.
export {
  downloadSnapshot,
  hubHome,
  hubSettings,
  isHubName,
  isModelFile,
  parseHubName,
  uploadFiles,
} from "./core/mod.ts";
export type {
  HubName,
  HubSettings,
  RepoType,
  RequestOptions,
  Snapshot,
  SnapshotOptions,
  SnapshotRequest,
  Upload,
} from "./core/mod.ts";

// Language models on the GPU.
export { openLanguageModel } from "./model/language_model.ts";
export type { OpenModel, OpenOptions } from "./model/language_model.ts";
export { deferLanguageModel } from "./model/deferred_model.ts";
export type { DeferOptions, DeferredModel } from "./model/deferred_model.ts";
export { ChatClient, OPENAI_URL, openAiSettings, ReplyCache } from "./core/mod.ts";
export type {
  ChatBody,
  ChatClientOptions,
  ChatReply,
  ChatUsage,
  Clock,
  OpenAiSettings,
  Price,
} from "./core/mod.ts";
export { FEATURE_CACHE_BYTES, FeatureCache } from "./core/mod.ts";
export type { FeatureCacheOptions } from "./core/mod.ts";
export { loadCalibrator } from "./model/calibrator_file.ts";
export { WEIGHT_TYPES } from "./model/weights.ts";
export type { LoadOptions, WeightType } from "./model/weights.ts";
export { readClassifier } from "./model/classifier_file.ts";
export type { Classifier, ClassifierLayer } from "./model/classifier_file.ts";
export { Gpu } from "./kernels/gpu.ts";
export type { AdapterSummary, DeviceOptions } from "./kernels/device.ts";
export type { Family, Kernel, KernelCall, KernelDefinition, ScalarType } from "./kernels/kernel.ts";
export type { SourceFile } from "./kernels/specialise.ts";
export type { DType, Tensor } from "./kernels/tensor.ts";

// The built-in plugins.
export { builtins, defaultMetrics } from "./plugins/mod.ts";
export { facts } from "./plugins/datasets/facts.ts";
export { mixtureOf } from "./plugins/datasets/mixtures.ts";
export type { MixtureSpec } from "./plugins/datasets/mixtures.ts";
export type { ManualFile } from "./plugins/datasets/manual.ts";
export { evaluation } from "./plugins/datasets/evaluation.ts";
export { mmlu, mmluAll } from "./plugins/datasets/mmlu.ts";
export { mmluPro, mmluProAll } from "./plugins/datasets/mmlu_pro.ts";
export { modisteMmlu } from "./plugins/datasets/modiste.ts";
export { questionDataset, seedDataset } from "./plugins/datasets/spec.ts";
export type { AnswerForm, Asked, DatasetSpec, Fields } from "./plugins/datasets/spec.ts";
export { readTable, tableFormat } from "./plugins/datasets/tables/mod.ts";
export type { DataRow, TableFormat, TableOptions } from "./plugins/datasets/tables/mod.ts";
export { offline } from "./plugins/datasets/offline.ts";
export { offlineLogits } from "./plugins/datasets/stored_logits.ts";
export { choiceLetter } from "./plugins/labelers/choice_letter.ts";
export { exactMatch } from "./plugins/labelers/exact_match.ts";
export { fuzzy } from "./plugins/labelers/fuzzy.ts";
export type { FuzzyOptions } from "./plugins/labelers/fuzzy.ts";
export { local } from "./plugins/labelers/local.ts";
export type { LocalOptions } from "./plugins/labelers/local.ts";
export { numeric } from "./plugins/labelers/numeric.ts";
export type { NumericOptions } from "./plugins/labelers/numeric.ts";
export { multi } from "./plugins/labelers/multi.ts";
export type { MultiOptions } from "./plugins/labelers/multi.ts";
export { substring } from "./plugins/labelers/substring.ts";
export { tokenF1 } from "./plugins/labelers/token_f1.ts";
export type { TokenF1Options } from "./plugins/labelers/token_f1.ts";
export type { AdapterTrainingOptions } from "./plugins/methods/adapter_options.ts";
export { logits, LOGITS_CONFIDENCES } from "./plugins/methods/logits.ts";
export type { LogitsOptions } from "./plugins/methods/logits.ts";
export { loraPrompt } from "./plugins/methods/lora_prompt.ts";
export type { LoraPromptOptions } from "./plugins/methods/lora_prompt.ts";
export { queryLora } from "./plugins/methods/query_lora.ts";
export type { QueryLoraOptions } from "./plugins/methods/query_lora.ts";
export type { QueryMethodOptions } from "./plugins/methods/query.ts";
export { HEADS, POSITIONS } from "./plugins/methods/class_features.ts";
export type { Position } from "./plugins/methods/class_features.ts";
export { loraProbe } from "./plugins/methods/lora_probe.ts";
export type { LoraProbeOptions } from "./plugins/methods/lora_probe.ts";
export { probe } from "./plugins/methods/probe.ts";
export type { ProbeOptions } from "./plugins/methods/probe.ts";
export { sampling, SAMPLING_CONFIDENCES } from "./plugins/methods/sampling.ts";
export type { SamplingOptions } from "./plugins/methods/sampling.ts";
export { parseProbability, verbalized, VERBALIZED_STYLES } from "./plugins/methods/verbalized.ts";
export type { VerbalizedOptions, VerbalizedStyle } from "./plugins/methods/verbalized.ts";
export { zeroShot } from "./plugins/methods/zero_shot.ts";
export { accuracy, uncAccuracy } from "./plugins/metrics/accuracy.ts";
export { auprcCorrect, auprcWrong } from "./plugins/metrics/auprc.ts";
export { aurc, eAurc, prr } from "./plugins/metrics/aurc.ts";
export { auroc } from "./plugins/metrics/auroc.ts";
export { brier, brierReliability, brierResolution, brierUncertainty } from "./plugins/metrics/brier.ts";
export type { BrierPartOptions } from "./plugins/metrics/brier.ts";
export {
  accuracyAtCoverage50,
  accuracyAtCoverage70,
  accuracyAtCoverage80,
  accuracyAtCoverage90,
  coverageAtAccuracy90,
  thresholdAtAccuracy90,
} from "./plugins/metrics/coverage.ts";
export type { CoverageOptions, ThresholdOptions } from "./plugins/metrics/coverage.ts";
export { ace, ece, eceDebiased, eceL2, eceMass, eceMassL2, mce, mceMass } from "./plugins/metrics/ece.ts";
export type { EceOptions } from "./plugins/metrics/ece.ts";
export { nll } from "./plugins/metrics/nll.ts";
export { seedEce } from "./plugins/metrics/seed_ece.ts";
export { smece } from "./plugins/metrics/smece.ts";
export { llama } from "./plugins/models/llama.ts";
export { mistral } from "./plugins/models/mistral.ts";
export { mixtral } from "./plugins/models/mixtral.ts";
export { openai } from "./plugins/models/openai.ts";
export type { OpenAiOptions } from "./plugins/models/openai.ts";
export { qwen2 } from "./plugins/models/qwen2.ts";
export { choice } from "./plugins/prompt_styles/choice.ts";
export { oe } from "./plugins/prompt_styles/oe.ts";
