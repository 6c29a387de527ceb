const startTree = (view, controls) => {};
