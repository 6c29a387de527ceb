const startPasses = (view, controls) => {};
