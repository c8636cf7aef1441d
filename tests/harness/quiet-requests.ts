// Firebase's handlers log each request at this level.
console.debug = () => {};
