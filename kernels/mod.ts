/**
 * The GPU and its kernels, for those who write methods of their own.
 *
 * @module
 */
export { BufferPool } from "./buffer_pool.ts";
export { openDevice } from "./device.ts";
export type { AdapterSummary, DeviceOptions, OpenDevice } from "./device.ts";
export { Gpu } from "./gpu.ts";
export { defineKernel } from "./kernel.ts";
export type {
  BufferOf,
  Family,
  Kernel,
  KernelCall,
  KernelDefinition,
  ParamOf,
  ScalarType,
} from "./kernel.ts";
export { specialise } from "./specialise.ts";
export type { SourceFile, SpecialisedSource } from "./specialise.ts";
export { byteLength, BYTES_PER_VALUE, QUANTISED_MULTIPLE, scalesOf, valueCount, wordsOf } from "./tensor.ts";
export type { DType, Tensor } from "./tensor.ts";
