/**
 * The contracts and stages: everything a plugin may import. `/mod.ts` re-exports it.
 *
 * @module
 */
export { EXIT_CODES, nearest, suggestion, UserError } from "./errors.ts";
export type { ErrorKind, ErrorParts } from "./errors.ts";
export { readCsv, writeCsv } from "./csv.ts";
export {
  dataError,
  exists,
  fileError,
  hashFile,
  readJson,
  readText,
  syncFolder,
  writeFileAtomic,
  writeJsonAtomic,
} from "./files.ts";
export { krippendorffAlpha } from "./agreement.ts";
export type { Votes } from "./agreement.ts";
export { auditSample, correctMetrics, DECISIONS, labelerQuality, QUALITY_TITLES } from "./audit.ts";
export type {
  AuditRow,
  CorrectedMetric,
  Decision,
  DecisionCounts,
  LabelerQuality,
  QualityName,
} from "./audit.ts";
export { checkBaseModel } from "./base_model.ts";
export type { BaseModel } from "./base_model.ts";
export { estimate, RESAMPLES } from "./bootstrap.ts";
export type { Estimate, Undefined } from "./bootstrap.ts";
export { compareRuns, holm, matchPredictions } from "./comparison.ts";
export type { Comparison, Difference, Differences, Matched } from "./comparison.ts";
export { aurocDifference } from "./delong.ts";
export type { AurocDifference } from "./delong.ts";
export { FEATURE_CACHE_BYTES, FeatureCache } from "./feature_cache.ts";
export type { FeatureCacheOptions } from "./feature_cache.ts";
export { isModelFile } from "./hub/files.ts";
export { isHubName, parseHubName } from "./hub/names.ts";
export type { HubName, RepoType } from "./hub/names.ts";
export type { RequestOptions } from "./hub/request.ts";
export { hubHome, hubSettings } from "./hub/settings.ts";
export type { HubSettings } from "./hub/settings.ts";
export { downloadSnapshot, listSnapshot } from "./hub/snapshot.ts";
export type { Snapshot, SnapshotOptions, SnapshotRequest } from "./hub/snapshot.ts";
export { uploadFiles } from "./hub/upload.ts";
export type { Upload } from "./hub/upload.ts";
export { Journal } from "./journal.ts";
export { canonical, differences } from "./json.ts";
export type { Json } from "./json.ts";
export { expandMatrix, SAME } from "./matrix.ts";
export type { MatrixAnswers, MatrixAxes, MatrixCell, MatrixTraining } from "./matrix.ts";
export { ChatClient } from "./openai/client.ts";
export type { ChatBody, ChatClientOptions, ChatUsage } from "./openai/client.ts";
export type { Clock } from "./openai/endpoint.ts";
export type { Price } from "./openai/prices.ts";
export { ReplyCache } from "./openai/reply_cache.ts";
export type { ChatReply } from "./openai/reply.ts";
export { REQUEST_DEFAULTS, REQUEST_HELP, REQUEST_OPTIONS, requestLimits } from "./openai/request_limits.ts";
export type { RequestSettings } from "./openai/request_limits.ts";
export { OPENAI_URL, openAiSettings } from "./openai/settings.ts";
export type { OpenAiSettings } from "./openai/settings.ts";
export { checkOptions, flagName, resolveOptions } from "./options.ts";
export type { OptionLimit } from "./options.ts";
export { answeredText, isSameQuestion, isStoredRow, promptText, questionKey, SPLITS } from "./records.ts";
export type {
  Generation,
  Home,
  Label,
  Labeled,
  Prediction,
  Prompt,
  Question,
  Split,
  StoredRow,
  StyleWording,
  Wording,
} from "./records.ts";
export { isModelFamily, Registry, splitName } from "./registry.ts";
export type { PluginByKind, Registered } from "./registry.ts";
export { cacheFolder } from "./paths.ts";
export { readPredictions, writePredictions } from "./predictions.ts";
export type { PredictionRow } from "./predictions.ts";
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
} from "./query.ts";
export type { QueryFormat, QueryOptions } from "./query.ts";
export { CHAT_INSTRUCTION, CHAT_USES, checkChat, encodeChat, usesChat } from "./chat.ts";
export type { ChatUse } from "./chat.ts";
export { redact } from "./redact.ts";
export { binEdges } from "./reliability.ts";
export { createRng } from "./rng.ts";
export { isLabeled, readRows, ROW_COLUMNS, writeRows } from "./rows.ts";
export type { Rng } from "./rng.ts";
export { RunFolder } from "./run_folder.ts";
export type { StageInputs, StageOutcome, StageRecord, StageRun } from "./run_folder.ts";
export { predictConfidence, scoresOf } from "./stages/evaluate.ts";
export { meansOver, summarise } from "./stages/summarise.ts";
export type { Judged, Means, Summary, TaskMeans } from "./stages/summarise.ts";
export { renderReport } from "./stages/report.ts";
export type { ReportedAudit, ReportedRun } from "./stages/report.ts";
export { generateAnswers, writeAnswers } from "./stages/generate.ts";
export type { Answered, AnswerOptions } from "./stages/generate.ts";
export { findLabeler, OpenLabeler } from "./labelers.ts";
export type { NamedLabeler } from "./labelers.ts";
export { labelAnswers, labelRequest } from "./stages/label.ts";
export { loadPrompts } from "./stages/prompts.ts";
export type { PromptRun } from "./stages/prompts.ts";
export { validateDataset } from "./stages/validate.ts";
export type { Finding, Validation, ValidationRun } from "./stages/validate.ts";
export { tally } from "./tally.ts";
export {
  fitTemperature,
  probabilityCorrect,
  probabilityOf,
  softmax,
  TEMPERATURE_LIMITS,
} from "./temperature.ts";
export type { ScoredLogits, Temperature } from "./temperature.ts";
export { readTorchTensors } from "./torch/torch_tensors.ts";
export type { StoredTensor } from "./torch/torch_tensors.ts";
export { calibrated, CALIBRATORS, fitCalibrator } from "./calibrators.ts";
export type { Calibrator, FittedCalibrator, ScoredRow } from "./calibrators.ts";
export { listedChoices } from "./choices.ts";
export { answerText, renderPrompt } from "./wording.ts";
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
} from "./types.ts";
