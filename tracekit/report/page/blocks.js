const startBlocks = (view, controls) => {};
