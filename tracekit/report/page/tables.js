const startKernels = (view, controls) => {};
const startOps = (view, controls) => {};
