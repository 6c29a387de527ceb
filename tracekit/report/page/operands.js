// Shapes and data types of an operator's inputs, written shortly. They came as JSON, from a trace: it may be anything.

const DTYPES = {
  "c10::BFloat16": "bf16",
  "c10::Half": "fp16",
  float: "fp32",
  double: "fp64",
  long: "int64",
  "long int": "int64",
  int: "int32",
  short: "int16",
  char: "int8",
  "signed char": "int8",
  "unsigned char": "uint8",
  bool: "bool",
  "c10::complex<float>": "complex64",
  "c10::complex<double>": "complex128",
  TensorList: "list",
};

/** What `write` makes of the list that `json` writes; `json` itself if it is none, or too deep to be written. */
const ofList = (json, write) => {
  if (json == null) return "";
  try {
    const found = JSON.parse(json);
    return Array.isArray(found) ? write(found) : json;
  } catch {
    return json;
  }
};

/** `[[16, 559], [559, 8], []]` as `[16, 559] × [559, 8]`: inputs without a shape are left out. */
const shapesText = (json) => {
  const write = (shape) => {
    if (!Array.isArray(shape) || !shape.length) return "";
    if (!Array.isArray(shape[0])) return `[${shape.join(", ")}]`;
    const inside = shape.map(write).filter((text) => text);
    return inside.length ? `(${inside.join(", ")})` : "";
  };
  return ofList(json, (shapes) =>
    shapes
      .map(write)
      .filter((text) => text)
      .join(" × "),
  );
};

/** The types of the tensors among the inputs, each once: `bf16`, `fp32, int64`. */
const dtypesText = (json) =>
  ofList(json, (types) => {
    const found = types
      .filter((name) => name && name !== "Scalar" && name !== "ScalarList")
      .map((name) => ownOf(DTYPES, name) ?? String(name).replace(/^c10::/, ""));
    return [...new Set(found)].join(", ");
  });
